"""The operating system under the environment: /etc/os-release, kernel and C library."""

import os
import shlex
from pathlib import Path

from envlock.lock.model import OperatingSystem


def read(root: Path = Path("/"), *, libc: str = "unknown") -> OperatingSystem:
    """Return the facts. Names follow os-release(5); a file that is missing gives ``linux`` and ``""``.

    ``libc`` is what the captured interpreter runs on: of an image, it is not envlock's own.
    """
    release = _release(root)
    system = os.uname()
    return OperatingSystem(
        id=release.get("ID", "linux"),
        version=release.get("VERSION_ID", ""),
        kernel=system.release,
        libc=libc,
        machine=system.machine,
    )


def _release(root: Path) -> dict[str, str]:
    for name in ("etc/os-release", "usr/lib/os-release"):
        try:
            lines = (root / name).read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        return dict(_assignment(line) for line in lines if "=" in line and not line.startswith("#"))
    return {}


def _assignment(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    try:
        return name.strip(), "".join(shlex.split(value))
    except ValueError:
        return name.strip(), value.strip()
