"""The probes of the machine: operating system, processor, GPU, CUDA, variables."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from envlock.capture import cpu, cuda, gpu, operating_system, packages_dpkg, variables
from envlock.lock.environment import InstalledDistribution, RecordEntry
from envlock.lock.model import CudaLibrary, GpuDevice
from tests.capture.simulators import DpkgSimulator


def test_os_release_is_read_with_quotes_and_comments(
    tmp_path: Path, put: Callable[[Path, bytes], Path]
) -> None:
    put(tmp_path / "etc/os-release", b'# c\nID=debian\nVERSION_ID="12"\nBROKEN="x\n\n')
    found = operating_system.read(tmp_path)
    assert (found.id, found.version) == ("debian", "12")
    assert found.libc


def test_os_release_of_usr_lib_is_the_second_choice_and_none_is_linux(
    tmp_path: Path, put: Callable[[Path, bytes], Path]
) -> None:
    assert operating_system.read(tmp_path).id == "linux"
    put(tmp_path / "usr/lib/os-release", b"ID=ubuntu\n")
    assert operating_system.read(tmp_path).id == "ubuntu"


V2 = "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
V3 = f"{V2} abm avx avx2 bmi1 bmi2 f16c fma movbe xsave"
V4 = f"{V3} avx512bw avx512cd avx512dq avx512f avx512vl"


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("", "v1"),
        (V2, "v2"),
        (V3, "v3"),
        (V4, "v4"),
        (V4.replace("fma", ""), "v2"),
        (V3.replace("abm", ""), "v2"),
    ],
)
def test_isa_level_needs_all_features_of_all_lower_levels(flags: str, level: str) -> None:
    assert cpu.isa("x86_64", flags) == f"x86-64-{level}"


def test_isa_elsewhere_is_the_machine() -> None:
    assert cpu.isa("aarch64", V4) == "aarch64"


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000"}, 8),
        ("0::/\n", {"cpu.max": "250000 100000"}, 3),
        ("0::/job/step\n", {"job/cpu.max": "100000 100000", "job/step/cpu.max": "max 100000"}, 1),
        ("0::/\n", {"cpu.max": "1000 100000"}, 1),
        ("0::/\n", {"cpu.max": "nonsense"}, 8),
        (
            "3:memory:/m\n2:cpu,cpuacct:/job\n",
            {"cpu/job/cpu.cfs_quota_us": "400000\n", "cpu/job/cpu.cfs_period_us": "100000\n"},
            4,
        ),
        ("2:cpu:/job\n", {"cpu/job/cpu.cfs_quota_us": "-1\n", "cpu/job/cpu.cfs_period_us": "100000\n"}, 8),
    ],
)
def test_cores_are_cut_by_the_control_group(
    tmp_path: Path, put: Callable[[Path, bytes], Path], group: str, files: dict[str, str], expected: int
) -> None:
    put(tmp_path / "proc/self/cgroup", group.encode())
    for name, text in files.items():
        put(tmp_path / "sys/fs/cgroup" / name, text.encode())
    assert cpu.cores(8, tmp_path) == expected


def test_cpu_names_numeric_libraries_and_thread_variables(
    tmp_path: Path, put: Callable[[Path, bytes], Path]
) -> None:
    put(tmp_path / "proc/cpuinfo", b"model name\t: AMD  EPYC \nflags : pni\n\nmodel name : other\n")
    blas = put(tmp_path / "libscipy_openblas64_-8fb3d286.so", b"\0 OpenBLAS 0.3.30  USE64BITINT\0")
    empty = put(tmp_path / "libopenblas.so.0", b"")
    silent = put(tmp_path / "libopenblasp.so.0", b"no text")
    gomp = put(tmp_path / "libgomp-a34b3233.so.1.0.0", b"")
    link = tmp_path / "libgomp.so.1"
    link.symlink_to(gomp.name)
    found = cpu.read(
        "x86_64",
        {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "/x"},
        [
            str(path)
            for path in (blas, empty, silent, gomp, link, tmp_path / "libmkl_rt.so.2", tmp_path / "libz.so")
        ],
        tmp_path,
    )
    assert (found.model, found.isa) == ("AMD EPYC", "x86-64-v1")
    assert found.blas == ("gomp 1.0.0", "mkl_rt 2", "openblas 0", "openblas 0.3.30")
    assert found.threads == (("OMP_NUM_THREADS", "4"),)


class NVMLError(Exception):
    def __init__(self, value: int = 999) -> None:
        super().__init__(f"error {value}")
        self.value = value


def nvml(**functions: object) -> SimpleNamespace:
    """Return a module whose functions answer what is given; an exception is raised."""

    def answer(value: object) -> Callable[..., object]:
        def call(*_: object) -> object:
            if isinstance(value, Exception):
                raise value
            return value

        return call

    answers: dict[str, object] = {
        "nvmlInit": None,
        "nvmlShutdown": None,
        "nvmlSystemGetDriverVersion": "580.1",
        "nvmlSystemGetCudaDriverVersion_v2": 12040,
        "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetHandleByIndex": "handle",
        "nvmlDeviceGetName": b"NVIDIA H100",
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=80),
        "nvmlDeviceGetCudaComputeCapability": (9, 0),
        "nvmlDeviceGetMigMode": (0, 0),
        **functions,
    }
    return SimpleNamespace(
        NVMLError=NVMLError,
        NVML_ERROR_LIBRARY_NOT_FOUND=12,
        NVML_ERROR_DRIVER_NOT_LOADED=9,
        **{name: answer(value) for name, value in answers.items()},
    )


def test_gpu_facts() -> None:
    found, gaps = gpu.read(nvml())
    assert gaps == ()
    assert (found.driver, found.cuda) == ("580.1", "12.4")
    assert found.devices == (GpuDevice(model="NVIDIA H100", capability="9.0", memory=80, mig=False),)


@pytest.mark.parametrize(
    ("error", "words"), [(12, "no NVIDIA driver"), (9, "no NVIDIA driver"), (18, "NVML failed")]
)
def test_nvml_that_does_not_start_is_a_gap(error: int, words: str) -> None:
    found, (gap,) = gpu.read(nvml(nvmlInit=NVMLError(error)))
    assert (found.driver, found.devices) == (None, ())
    assert words in gap.reason


@pytest.mark.parametrize(
    "name",
    [
        "nvmlShutdown",
        "nvmlSystemGetDriverVersion",
        "nvmlSystemGetCudaDriverVersion_v2",
        "nvmlDeviceGetCount",
        "nvmlDeviceGetHandleByIndex",
        "nvmlDeviceGetName",
        "nvmlDeviceGetMemoryInfo",
        "nvmlDeviceGetCudaComputeCapability",
    ],
)
def test_each_nvml_failure_is_a_gap(name: str) -> None:
    _, gaps = gpu.read(nvml(**{name: NVMLError()}))
    assert any("999" in gap.reason for gap in gaps)


def test_driver_without_gpu_is_a_gap_and_mig_may_be_unsupported() -> None:
    _, (gap,) = gpu.read(nvml(nvmlDeviceGetCount=0))
    assert "no usable GPU" in gap.reason
    found, gaps = gpu.read(nvml(nvmlDeviceGetMigMode=NVMLError(3)))
    assert (gaps, found.devices[0].mig) == ((), False)
    assert gpu.read(nvml(nvmlDeviceGetMigMode=(1, 1)))[0].devices[0].mig


def test_cuda_libraries_say_where_they_are_from(
    tmp_path: Path, dpkg: DpkgSimulator, put: Callable[[Path, bytes], Path]
) -> None:
    site = tmp_path / "site"
    wheel = put(site / "nvidia/cuda_runtime/lib/libcudart.so.12", b"")
    conda = put(tmp_path / "prefix/lib/libcublas.so.12", b"")
    put(
        tmp_path / "prefix/conda-meta/a.json",
        b'{"name": "cublas", "version": "12.1", "files": ["lib/libcublas.so.12", "x"]}',
    )
    put(tmp_path / "prefix/conda-meta/b.json", b"{")
    owned = put(tmp_path / "os/libcudnn.so.9", b"")
    loose = put(tmp_path / "os/libnccl.so.2.20.5", b"")
    dpkg.install("libcudnn9", {str(owned): b""}, version="9.1")
    distribution = InstalledDistribution(
        name="nvidia-cuda-runtime-cu12",
        raw_name="nvidia-cuda-runtime-cu12",
        version="12.1.105",
        site=site,
        dist_info="x",
        tags=(),
        build=None,
        root_is_purelib=True,
        record=(RecordEntry(path="nvidia/cuda_runtime/lib/libcudart.so.12", sha256=None, size=None),),
        requires_python=None,
        installer=None,
        direct_url=None,
    )
    libraries = [str(path) for path in (wheel, conda, owned, loose, tmp_path / "libz.so.1")]
    found = cuda.read(libraries, [distribution], packages_dpkg.load(tmp_path), tmp_path / "prefix")
    assert found == (
        CudaLibrary(name="cublas", version="12.1", origin="conda:cublas"),
        CudaLibrary(name="cudart", version="12.1.105", origin="wheel:nvidia-cuda-runtime-cu12"),
        CudaLibrary(name="cudnn", version="9.1", origin="os:libcudnn9"),
        CudaLibrary(name="nccl", version="2.20.5", origin="unowned"),
    )
    assert cuda.read([], [], None, tmp_path) == ()


def test_only_allow_listed_variables_without_paths_are_kept() -> None:
    environ = {
        "OMP_NUM_THREADS": "4",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "XLA_FLAGS": "--xla_dump_to=/home/ann/dump",
        "OMP_PLACES": "a\nb",
        "API_TOKEN": "secret",
    }
    assert variables.read(environ) == (("CUBLAS_WORKSPACE_CONFIG", ":4096:8"), ("OMP_NUM_THREADS", "4"))
