"""CUDA libraries of simulated wheels, conda prefixes, system packages and toolkits."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.capture import conda, cuda, packages_dpkg
from envlock.capture.owners import Owners, owners
from envlock.lock.environment import InstalledDistribution, RecordEntry
from tests.capture.simulators import CondaSimulator, DpkgSimulator
from tests.capture.test_conda import installed

Put = Callable[[Path, bytes], Path]


def wheel(site: Path, dist_info: str, *files: str) -> InstalledDistribution:
    record = tuple(RecordEntry(path=path, sha256=None, size=None) for path in files)
    return replace(installed(site, dist_info), record=record)


class Machine:
    """A site-packages, a conda prefix and a dpkg database, and who owns what there."""

    def __init__(self, root: Path, put: Put) -> None:
        self.root, self.put = root, put
        self.site, self.conda = root / "site", CondaSimulator(root / "prefix")
        self.dpkg = DpkgSimulator(root)
        self.distributions: list[InstalledDistribution] = []

    def wheel(self, dist_info: str, *files: str) -> list[str]:
        self.distributions.append(wheel(self.site, dist_info, *files))
        return [str(self.put(self.site / file, b"")) for file in files]

    def owners(self) -> Owners:
        database = packages_dpkg.load(self.root)
        assert database is not None
        known, _ = conda.read([self.conda.prefix])
        return owners(self.distributions, database=database, conda=known, prefix=None)

    def read(self, *libraries: str, **environ: str) -> list[tuple[str, str, str]]:
        found = cuda.read(libraries, self.owners(), self.distributions, environ)
        return [(one.name, one.version, one.origin) for one in found]


@pytest.fixture
def machine(tmp_path: Path, put: Put) -> Machine:
    return Machine(tmp_path, put)


def test_each_origin_gives_the_version_that_is_the_librarys(machine: Machine) -> None:
    libraries = machine.wheel("nvidia_cuda_runtime_cu12-12.1.105.dist-info", "nvidia/lib/libcudart.so.12")
    machine.distributions[0] = replace(machine.distributions[0], name="nvidia-cuda-runtime-cu12")
    machine.conda.install("libcublas", {"lib/libcublas.so.12": b""}, version="12.4.5.8")
    owned = machine.put(machine.root / "os/libcudnn.so.9", b"")
    machine.dpkg.install("libcudnn9", {str(owned): b""}, version="9.1.0.70-1")
    loose = machine.put(machine.root / "opt/libnccl.so.2.20.5", b"")
    libraries += [str(machine.conda.prefix / "lib/libcublas.so.12"), str(owned), str(loose)]
    assert machine.read(*libraries, str(machine.root / "libz.so.1")) == [
        ("cublas", "12.4.5.8", "conda:libcublas"),
        ("cudart", "12.1.105", "wheel:nvidia-cuda-runtime-cu12"),
        ("cudnn", "9.1.0.70-1", "os:libcudnn9"),
        ("nccl", "2.20.5", "unowned"),
    ]


def test_without_cuda_libraries_there_are_none(machine: Machine) -> None:
    assert machine.read() == []
    assert machine.read("/usr/lib/libcuda.so.1", "/usr/lib/libnvidia-ml.so.1", "/usr/lib/libz.so.1") == []


def test_the_copies_that_a_framework_bundles_have_their_own_versions(machine: Machine) -> None:
    libraries = machine.wheel(
        "torch-2.1.0+cu118.dist-info",
        "torch/lib/libcudart-d0da41ae.so.11.0",
        "torch/lib/libcudnn.so.8",
        "torch/lib/libnccl.so.2",
        "torch/lib/libcusolver.so",
        "torchvision.libs/libnvjpeg.36e11081.so.13",
    )
    Path(libraries[2]).write_bytes(b"\0NCCL version 2.18.6+cuda11.8\0")
    assert machine.read(*libraries) == [
        ("cudart", "11.0", "wheel:torch"),
        ("cudnn", "8", "wheel:torch"),
        ("cusolver", "", "wheel:torch"),
        ("nccl", "2.18.6", "wheel:torch"),
        ("nvjpeg", "13", "wheel:torch"),
    ]
    for data in (b"no text", b""):
        Path(libraries[2]).write_bytes(data)
        assert machine.read(libraries[2]) == [("nccl", "2", "wheel:torch")]


@pytest.mark.parametrize(
    "parts",
    [
        ["cudnn", "cudnn_ops", "cudnn_cnn", "cudnn_adv", "cudnn_graph", "cudnn_engines_runtime_compiled"],
        ["cudnn", "cudnn_ops_infer", "cudnn_ops_train", "cudnn_cnn_infer", "cudnn_adv_train"],
    ],
)
def test_the_parts_of_cudnn_9_and_8_are_one_library(machine: Machine, parts: list[str]) -> None:
    libraries = machine.wheel("nvidia_cudnn-9.1.dist-info", *(f"nvidia/lib/lib{part}.so.9" for part in parts))
    machine.distributions[0] = replace(machine.distributions[0], name="nvidia-cudnn-cu12")
    assert machine.read(*libraries) == [("cudnn", "9.1", "wheel:nvidia-cudnn-cu12")]


def test_parts_of_other_libraries_are_named_after_the_whole(machine: Machine) -> None:
    names = ("libnvinfer_plugin.so.10", "libnppc.so.12", "libnvrtc-builtins.so.12.4", "libnvshmem_host.so.3")
    assert [one[0] for one in machine.read(*(f"/x/{name}" for name in names))] == [
        "npp",
        "nvinfer",
        "nvrtc",
        "nvshmem_host",
    ]


def test_a_toolkit_tells_its_version_and_that_of_each_part(machine: Machine) -> None:
    toolkit = machine.root / "usr/local/cuda-12.4"
    parts = {
        "cuda": {"name": "CUDA SDK", "version": "12.4.1"},
        "cuda_cudart": {"name": "CUDA Runtime (cudart)", "version": "12.4.127"},
        "libcublas": {"name": "cuBLAS", "version": "12.4.5.8"},
    }
    machine.put(toolkit / "version.json", json.dumps(parts).encode())
    for name in ("libcudart.so.12", "libcublas.so.12", "libcufft.so.11.2.1.3"):
        machine.put(toolkit / "targets/x86_64-linux/lib" / name, b"")
    (toolkit / "lib64").symlink_to("targets/x86_64-linux/lib")
    (machine.root / "usr/local/cuda").symlink_to("cuda-12.4")
    machine.put(machine.root / "other/libcudart.so.11", b"")
    place = f"{machine.root}/usr/local/cuda/lib64/:relative:{machine.root}/none:{machine.root}/other"
    assert machine.read(LD_LIBRARY_PATH=place) == [
        ("cublas", "12.4.5.8", "toolkit:12.4.1"),
        ("cudart", "11", "unowned"),
        ("cudart", "12.4.127", "toolkit:12.4.1"),
        ("cufft", "11.2.1.3", "toolkit:12.4.1"),
    ]


@pytest.mark.parametrize("text", [b"{", b"[]", b"{}", b'{"cuda": 3}', b'{"cuda": {"name": "x"}}'])
def test_a_version_file_of_another_shape_is_none(machine: Machine, text: bytes) -> None:
    machine.put(machine.root / "cuda/version.json", text)
    library = machine.put(machine.root / "cuda/lib64/libcudart.so.12.1.105", b"")
    assert machine.read(str(library)) == [("cudart", "12.1.105", "unowned")]


def test_what_conda_put_there_is_condas_though_a_record_lists_it_and_pytorchs_version_is_its_own(
    machine: Machine,
) -> None:
    inside = f"{machine.site}/nvidia/lib/libcufft.so.11"
    machine.wheel("nvidia_cufft_cu12-11.0.dist-info", "nvidia/lib/libcufft.so.11")
    machine.conda = CondaSimulator(machine.root)
    machine.conda.install("libcufft", {"site/nvidia/lib/libcufft.so.11": b""}, version="11.2.1")
    machine.conda.install("pytorch", {"lib/libnccl.so.2.19": b""}, version="2.2.0")
    assert machine.read(inside, str(machine.root / "lib/libnccl.so.2.19")) == [
        ("cufft", "11.2.1", "conda:libcufft"),
        ("nccl", "2.19", "conda:pytorch"),
    ]
