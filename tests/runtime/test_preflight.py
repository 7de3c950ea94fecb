"""Grading hosts against an image, and reading a host's facts."""

from pathlib import Path

import pytest

from envlock.runtime import hostfacts, image, preflight
from envlock.runtime.hostfacts import GpuDevice, HostFacts
from envlock.runtime.image import Image
from tests.runtime.conftest import HOST, IMAGE

H200 = {"model": "NVIDIA H200", "capability": "9.0", "memory": 1, "mig": False}
V2 = "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
V3 = f"{V2} avx avx2 bmi1 bmi2 f16c fma movbe xsave abm"


def described(**changes: object) -> Image:
    document = {**IMAGE, "os": {"machine": "x86_64"}, **changes}
    return image.parse(document, "image.json")


def verdict(
    found: Image,
    host: HostFacts,
    isa: str = "portable",
    gpu: str = "compatible",
    threads: int | None = None,
) -> tuple[str, ...]:
    graded = preflight.grade(found, host, isa=isa, gpu=gpu, threads=threads)
    return (graded.grade, *(reason.text for reason in graded.reasons))


def test_the_machine_of_the_capture_is_the_same() -> None:
    assert verdict(described(), HOST) == ("same",)


def test_another_machine_will_not_run() -> None:
    found = verdict(described(), HOST.replace(machine="aarch64", isa="aarch64"))
    assert found == ("will not run", "the image is for x86_64, this host is aarch64")


def test_another_cpu_is_compatible_when_portable_and_may_differ_when_native() -> None:
    host = HOST.replace(cpu_model="Other CPU", isa="x86-64-v4")
    text = "captured on Some CPU (x86-64-v3), this host has Other CPU (x86-64-v4)"
    assert verdict(described(), host) == ("compatible", text)
    assert verdict(described(), host, isa="native") == (
        "numerics may differ",
        f"{text}: numerics may differ with cpu.isa native",
    )


def test_a_cpu_below_the_portable_profile_may_differ() -> None:
    found = verdict(described(), HOST.replace(isa="x86-64-v2"))
    assert found == (
        "numerics may differ",
        "cpu.isa portable needs x86-64-v3, this host has x86-64-v2: numerics may differ",
    )


def test_a_cpu_below_the_portable_profile_will_not_run_what_is_pinned_to_it() -> None:
    """OpenBLAS takes the kernels that it is told to take: measured, SIGILL at NumPy's import."""
    found = described(env={"OPENBLAS_CORETYPE": "Haswell"})
    graded = verdict(found, HOST.replace(isa="x86-64-v2"))
    assert graded[0] == "will not run"
    assert "illegal instruction" in graded[1]
    assert verdict(found, HOST.replace(isa="x86-64-v2"), isa="native")[0] == "numerics may differ"


def test_a_cpu_below_every_wheel_will_not_run() -> None:
    assert verdict(described(), HOST.replace(isa="x86-64-v1"))[0] == "will not run"


@pytest.mark.parametrize(
    ("cuda", "driver", "message"),
    [
        ("13.0.96", "535.104", "driver 535.104 is too old for CUDA 13.0: needs 580 or newer"),
        ("12.8.90", "520.61.05", "driver 520.61.05 is too old for CUDA 12.8: needs 525.60.13 or newer"),
        ("11.8", "450.80.01", "driver 450.80.01 is too old for CUDA 11.8: needs 450.80.02 or newer"),
    ],
)
def test_an_old_driver_will_not_run(cuda: str, driver: str, message: str) -> None:
    found = described(cuda=[{"name": "libcudart", "version": cuda, "origin": "wheel:x"}])
    assert verdict(found, HOST.replace(driver=driver)) == ("will not run", message)


@pytest.mark.parametrize(("cuda", "driver"), [("13.0", "580.65.06"), ("99.0", "1.0"), ("odd", "1.0")])
def test_a_driver_that_is_new_enough_or_unknown_is_no_reason(cuda: str, driver: str) -> None:
    found = described(cuda=[{"name": "cudart", "version": cuda, "origin": "wheel:x"}])
    assert verdict(found, HOST.replace(driver=driver)) == ("same",)


@pytest.mark.parametrize(
    ("cores", "told"),
    [
        (8, ("same",)),
        (9, ("same",)),
        (2, ("compatible", "cpu.threads is 8, this host gives the job 2 cores: the same numerics, slower")),
        (1, ("compatible", "cpu.threads is 8, this host gives the job 1 core: the same numerics, slower")),
    ],
)
def test_more_threads_than_cores_are_told(cores: int, told: tuple[str, ...]) -> None:
    assert verdict(described(), HOST.replace(cores=cores), threads=8) == told


def test_another_gpu_may_differ() -> None:
    found = described(gpu={"driver": "580", "cuda": "13.0", "devices": [H200]})
    host = HOST.replace(driver="580.1", gpus=(GpuDevice("A100", "8.0"),))
    text = "captured on NVIDIA H200 (sm_90), this host has A100 (sm_80): numerics may differ"
    assert verdict(found, host) == ("numerics may differ", text)
    assert verdict(found, host, gpu="any") == ("same",)
    assert verdict(found, HOST)[1] == (
        "captured on NVIDIA H200 (sm_90), this host has no GPU: numerics may differ"
    )


def test_a_gpu_of_the_same_architecture_is_compatible_unless_the_same_is_asked_for() -> None:
    found = described(gpu={"driver": "580", "cuda": "13.0", "devices": [H200]})
    host = HOST.replace(gpus=(GpuDevice("NVIDIA H100", "9.0"),))
    assert verdict(found, host)[0] == "compatible"
    assert verdict(found, host, gpu="same")[0] == "numerics may differ"
    assert verdict(found, HOST.replace(gpus=(GpuDevice("NVIDIA H200"),)))[0] == "same"
    assert "has A100:" in verdict(found, HOST.replace(gpus=(GpuDevice("A100"),)))[1]


def test_reasons_come_worst_first() -> None:
    found = described(cuda=[{"name": "cudart", "version": "13.0", "origin": "x"}])
    host = HOST.replace(cpu_model="Other", driver="535.104")
    graded = preflight.grade(found, host, isa="portable", gpu="compatible", threads=None)
    assert [reason.grade for reason in graded.reasons] == ["will not run", "compatible"]


@pytest.mark.parametrize(
    ("flags", "machine", "level"),
    [
        ("", "x86_64", "x86-64-v1"),
        (V2, "x86_64", "x86-64-v2"),
        (V3, "x86_64", "x86-64-v3"),
        (V3.replace(" abm", ""), "x86_64", "x86-64-v2"),
        (f"{V3} avx512f avx512bw avx512cd avx512dq avx512vl", "x86_64", "x86-64-v4"),
        ("avx512f avx512bw avx512cd avx512dq avx512vl", "x86_64", "x86-64-v1"),
        ("asimd", "aarch64", "aarch64"),
    ],
)
def test_levels_follow_the_psabi(flags: str, machine: str, level: str) -> None:
    assert hostfacts.isa_level(flags.split(), machine) == level


def test_a_recorded_machine_is_read(tmp_path: Path) -> None:
    files = {
        "cpuinfo": f"processor\t: 0\nmodel name\t: Big CPU\nflags\t\t: {V3}\n\nmodel name: x\n",
        "meminfo": "MemTotal:       1024 kB\n",
        "driver/nvidia/version": "NVRM: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat\n",
        "driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA H200\nIRQ: 1\n",
        "driver/nvidia/gpus/0000:02:00.0/information": "nothing known",
    }
    for name, text in files.items():
        path = tmp_path / "proc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = hostfacts.read(str(tmp_path))
    assert (found.cpu_model, found.memory, found.driver) == ("Big CPU", 1024 * 1024, "535.104.05")
    assert found.gpus == (GpuDevice("NVIDIA H200"),)


def test_the_open_kernel_module_names_its_driver_too(tmp_path: Path) -> None:
    path = tmp_path / "proc" / "driver" / "nvidia" / "version"
    path.parent.mkdir(parents=True)
    path.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n")
    assert hostfacts.read(str(tmp_path)).driver == "580.65.06"


def test_a_machine_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    found = hostfacts.read(str(tmp_path))
    assert (found.cpu_model, found.memory, found.driver, found.gpus) == ("", 0, None, ())
    assert found.cores >= 1
