"""An NVIDIA driver's devices and libraries, brought into a container without NVIDIA's toolkit.

The driver's user-space part must be the running kernel module's own version, so an image never
carries it; it is lent by the host, as NVIDIA's container toolkit does.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from envlock.engines.engine import Mount

LIBRARY_DIRECTORY = "/run/envlock/nvidia"
# "\tlibcuda.so.1 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libcuda.so.1", as ldconfig -p prints.
_LINE = re.compile(
    r"^\s+(?P<name>lib(?:cuda|nvidia-[\w-]+|cudadebugger|nvcuvid)\.so\.[\d.]+) "
    r"\((?P<kind>[^)]*)\) => (?P<path>/.+)$",
    re.MULTILINE,
)
_BITS_64 = ("x86-64", "AArch64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What to mount, and the variables that let the job find it."""

    mounts: tuple[Mount, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


def present(root: Path) -> bool:
    """Say whether an NVIDIA driver is loaded on the machine whose root is ``root``."""
    return (root / "dev" / "nvidiactl").exists()


def driver(root: Path, ldconfig: str, library_path: str) -> Driver:
    """Return the mounts for the devices below ``root`` and the libraries that ``ldconfig -p`` lists.

    ``library_path`` is the image's own LD_LIBRARY_PATH, which the driver's directory goes before.
    Nothing at all where no driver is loaded.
    """
    if not present(root):
        return Driver()
    devices = [path for path in sorted((root / "dev").glob("nvidia*")) if not path.is_dir()]
    capabilities = sorted((root / "dev" / "nvidia-caps").glob("*"))
    mounts = [Mount(source=path, target=f"/{path.relative_to(root)}") for path in (*devices, *capabilities)]
    mounts += [
        Mount(source=path, target=f"{LIBRARY_DIRECTORY}/{name}", read_only=True)
        for name, path in sorted(_libraries(root, ldconfig).items())
    ]
    search = f"{LIBRARY_DIRECTORY}:{library_path}" if library_path else LIBRARY_DIRECTORY
    return Driver(mounts=tuple(mounts), environment=(("LD_LIBRARY_PATH", search),))


def _libraries(root: Path, ldconfig: str) -> dict[str, Path]:
    """Return each 64-bit driver library by the name that programs load; the first listed wins."""
    found: dict[str, Path] = {}
    for line in _LINE.finditer(ldconfig):
        path = root / line["path"].lstrip("/")
        if any(kind in line["kind"] for kind in _BITS_64) and path.exists():
            found.setdefault(line["name"], path)
    return found
