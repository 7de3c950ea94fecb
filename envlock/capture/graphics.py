"""What the kernel tells of graphics and compute devices without NVML, from /proc, /sys and /dev.

Rules kept here: a driver whose library does not answer is still named with its version; devices of other
makers are named as not captured, and only those that a job can compute on count as a fault.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from envlock.lock.model import Gap

_VERSION = re.compile(r"\s(\d{3,}(?:\.\d+)+)\s")
_MAKERS = {"0x1002": "AMD", "0x8086": "Intel", "0x1da3": "Habana", "0x1ae0": "Google"}
_NONE = ("", "none", "void")


def driver_version(root: Path = Path("/")) -> str | None:
    """Return the version of the NVIDIA kernel driver that is loaded, or None."""
    found = _VERSION.search(_text(root / "proc/driver/nvidia/version").partition("\n")[0])
    return found.group(1) if found else _text(root / "sys/module/nvidia/version").strip() or None


def may_answer(root: Path = Path("/")) -> bool:
    """Tell whether NVML can find anything: a driver that is loaded, its device in a sandbox, or WSL's."""
    devices = ("dev/nvidiactl", "dev/dxg")
    return driver_version(root) is not None or any((root / one).exists() for one in devices)


def unseen(environ: Mapping[str, str], root: Path = Path("/")) -> tuple[Gap, ...]:
    """Return what a capture can't tell where NVML has nothing to answer."""
    return (*others(root), without_library(environ, root))


def without_library(environ: Mapping[str, str], root: Path = Path("/")) -> Gap:
    """Return why there is no NVML: no driver, a container that was given none, or a broken driver."""
    if driver_version(root) is not None:
        withheld = environ.get("NVIDIA_VISIBLE_DEVICES", "all").strip().lower() in _NONE
        if withheld:
            reason = "NVIDIA_VISIBLE_DEVICES keeps the GPUs of this machine from this container"
            return Gap(subject="gpu", reason=reason, harmless=True)
        reason = "the NVIDIA driver is loaded, but its library libnvidia-ml.so.1 is not within reach"
        return Gap(subject="gpu", reason=reason)
    if (root / "dev/dxg").exists():
        reason = "this is WSL, and the Windows driver brings no libnvidia-ml.so.1; no GPU was captured"
        return Gap(subject="gpu", reason=reason, harmless=True)
    return Gap(
        subject="gpu", reason="no NVIDIA driver on this machine, so no GPU was captured", harmless=True
    )


def others(root: Path = Path("/")) -> Iterator[Gap]:
    """Yield a gap for each maker of devices that are not captured."""
    compute = {_MAKERS.get(maker) for maker in _makers(root / "sys/class/accel")} - {None}
    if (root / "dev/kfd").exists():
        compute.add("AMD")
    graphics = {_MAKERS.get(maker) for maker in _makers(root / "sys/class/drm")} - {None}
    for maker in sorted(str(name) for name in compute | graphics):
        reason = f"a device of {maker} is in this machine; only NVIDIA's are captured"
        yield Gap(subject="gpu", reason=reason, harmless=maker not in compute)


def _makers(directory: Path) -> set[str]:
    return {_text(file).strip().lower() for file in directory.glob("*/device/vendor")}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
