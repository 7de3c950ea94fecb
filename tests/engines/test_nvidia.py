"""The driver's parts, found in a fake tree (no GPU is needed, and none is proven to work)."""

from pathlib import Path

import pytest

from envlock.engines import nvidia

LDCONFIG = """\
5 libs found in cache `/etc/ld.so.cache'
\tlibnvidia-ml.so.1 (libc6,x86-64) => /usr/lib/libnvidia-ml.so.1
\tlibcuda.so.1 (libc6,x86-64) => /usr/lib/libcuda.so.1
\tlibcuda.so.1 (libc6) => /usr/lib32/libcuda.so.1
\tlibcuda.so.1 (libc6,x86-64) => /usr/local/lib/libcuda.so.1
\tlibnvidia-gone.so.1 (libc6,x86-64) => /usr/lib/libnvidia-gone.so.1
\tlibc.so.6 (libc6,x86-64) => /usr/lib/libc.so.6
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    names = (
        "dev/nvidia0 dev/nvidiactl dev/nvidia-uvm dev/nvidia-caps/nvidia-cap1 dev/null usr/lib/libcuda.so.1 "
        "usr/lib/libnvidia-ml.so.1 usr/lib32/libcuda.so.1 usr/local/lib/libcuda.so.1 usr/lib/libc.so.6"
    )
    for name in names.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_devices_and_64_bit_driver_libraries_are_lent(machine: Path) -> None:
    found = nvidia.driver(machine, LDCONFIG, "")
    assert [
        (str(mount.source.relative_to(machine)), mount.target, mount.read_only) for mount in found.mounts
    ] == [
        ("dev/nvidia-uvm", "/dev/nvidia-uvm", False),
        ("dev/nvidia0", "/dev/nvidia0", False),
        ("dev/nvidiactl", "/dev/nvidiactl", False),
        ("dev/nvidia-caps/nvidia-cap1", "/dev/nvidia-caps/nvidia-cap1", False),
        ("usr/lib/libcuda.so.1", "/run/envlock/nvidia/libcuda.so.1", True),
        ("usr/lib/libnvidia-ml.so.1", "/run/envlock/nvidia/libnvidia-ml.so.1", True),
    ]
    assert found.environment == (("LD_LIBRARY_PATH", "/run/envlock/nvidia"),)


def test_the_images_own_library_path_comes_after_the_drivers(machine: Path) -> None:
    found = nvidia.driver(machine, LDCONFIG, "/opt/lib")
    assert found.environment == (("LD_LIBRARY_PATH", "/run/envlock/nvidia:/opt/lib"),)


def test_without_a_driver_nothing_is_lent(machine: Path) -> None:
    (machine / "dev" / "nvidiactl").unlink()
    assert nvidia.driver(machine, LDCONFIG, "") == nvidia.Driver()
