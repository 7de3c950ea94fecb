"""The probes of the machine: operating system, processor, GPU, CUDA, variables."""

from collections.abc import Callable
from pathlib import Path

import pytest

from envlock.capture import cpu, operating_system, variables


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


def test_cpu_names_model_vendor_and_the_features_that_kernels_are_chosen_by(
    tmp_path: Path, put: Callable[[Path, bytes], Path]
) -> None:
    put(
        tmp_path / "proc/cpuinfo",
        b"processor : 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD  EPYC \n"
        b"flags : fpu smep pni avx2 avx512f avx_vnni amx_tile f16c\n\n",
    )
    found = cpu.read("x86_64", {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "/x"}, tmp_path)
    assert (found.model, found.vendor, found.isa) == ("AMD EPYC", "AuthenticAMD", "x86-64-v1")
    assert found.flags == ("amx_tile", "avx2", "avx512f", "avx_vnni", "f16c", "pni")
    assert found.threads == (("OMP_NUM_THREADS", "4"),)


def test_of_a_hybrid_processor_every_model_is_named_and_only_shared_features_count(
    tmp_path: Path, put: Callable[[Path, bytes], Path]
) -> None:
    put(
        tmp_path / "proc/cpuinfo",
        b"processor : 0\nFeatures : fp asimd sve bf16 sme2\nCPU implementer : 0x41\nCPU part : 0xd4d\n\n"
        b"processor : 1\nFeatures : fp asimd bf16\nCPU implementer : 0x41\nCPU part : 0xd4e\n\n"
        b"processor : 2\nFeatures : fp asimd bf16\nCPU implementer : 0x41\nCPU part : 0xd4e\n\n"
        b"Hardware : Example Board\n",
    )
    found = cpu.read("aarch64", {}, tmp_path)
    assert (found.model, found.vendor, found.isa) == ("ARM part 0xd4d + ARM part 0xd4e", "ARM", "aarch64")
    assert found.flags == ("asimd", "bf16")


@pytest.mark.parametrize(
    ("text", "model", "vendor"),
    [
        (b"", "riscv64", ""),
        (b"\n\n", "riscv64", ""),
        (b"processor : 0\n", "riscv64", ""),
        (b"no colon\nuarch : sifive,u74\n", "sifive,u74", ""),
        (b"processor : 0\nCPU implementer : 0xff\nCPU part : 0x1\n", "0xff part 0x1", "0xff"),
        (b"processor : 0\n\nModel : Raspberry Pi 5\n", "Raspberry Pi 5", ""),
    ],
)
def test_fields_that_proc_cpuinfo_lacks_leave_what_is_there(
    tmp_path: Path, put: Callable[[Path, bytes], Path], text: bytes, model: str, vendor: str
) -> None:
    put(tmp_path / "proc/cpuinfo", text)
    found = cpu.read("riscv64", {}, tmp_path)
    assert (found.model, found.vendor, found.flags) == (model, vendor, ())


def test_only_allow_listed_variables_without_paths_are_kept() -> None:
    environ = {
        "OMP_NUM_THREADS": "4",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "XLA_FLAGS": "--xla_dump_to=/home/ann/dump",
        "OMP_PLACES": "a\nb",
        "API_TOKEN": "secret",
    }
    assert variables.read(environ) == (("CUBLAS_WORKSPACE_CONFIG", ":4096:8"), ("OMP_NUM_THREADS", "4"))
    assert [(gap.subject, gap.harmless) for gap in variables.left_out(environ)] == [
        ("OMP_PLACES", False),
        ("XLA_FLAGS", False),
    ]
