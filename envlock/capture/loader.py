"""Where this machine's dynamic loader looks: ld.so.conf, the default directories, LD_LIBRARY_PATH."""

import glob
import os
from collections.abc import Mapping
from pathlib import Path

from envlock.capture.closure import Search
from envlock.capture.host_definition import HostDefinition

_DEPTH = 8


def multiarch(machine: str) -> str:
    """Return Debian's directory of shared libraries, which its loader has built in."""
    return f"/usr/lib/{machine}-linux-gnu"


def defaults(machine: str) -> tuple[str, ...]:
    """Return the directories that the loader searches without any configuration, in its order."""
    triplet = f"{machine}-linux-gnu"
    names = (f"lib/{triplet}", f"usr/lib/{triplet}", "lib64", "usr/lib64", "lib", "usr/lib")
    return tuple(f"/{name}" for name in names)


def search(
    definition: HostDefinition, environ: Mapping[str, str], machine: str, root: Path = Path("/")
) -> Search:
    """Return how libraries are looked for on this machine."""
    own = (part for part in environ.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":"))
    return Search(
        library_path=tuple(part for part in own if part.startswith("/")),
        configured=configured(root, root / "etc/ld.so.conf"),
        default=defaults(machine),
        never=definition.never_libraries,
        prefer=definition.prefer_libraries,
    )


def configured(root: Path, file: Path, depth: int = 0) -> tuple[str, ...]:
    """Return the directories that an ld.so.conf names, ``include`` lines followed (ldconfig(8))."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return ()
    found: list[str] = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words[:1] == ["include"] and depth < _DEPTH:
            for pattern in words[1:]:
                place = root / pattern.lstrip("/") if pattern.startswith("/") else file.parent / pattern
                for name in sorted(glob.glob(str(place))):
                    found.extend(configured(root, Path(name), depth + 1))
        elif words and words[0].startswith("/"):
            found.append(os.path.normpath(words[0]))
    return tuple(dict.fromkeys(found))
