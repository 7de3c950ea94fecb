"""Where the dynamic loader of an interpreter looks for libraries.

glibc's (ld.so(8)) has its directories compiled in, and they differ by distribution: they are read from
the loader's own file. Then ld.so.conf, LD_LIBRARY_PATH. musl's (musl, ldso/dynlink.c) has three
directories, or those of /etc/ld-musl-ARCH.path instead.
"""

import glob
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from envlock.capture.closure import Search
from envlock.capture.host_definition import HostDefinition

_DEPTH = 8
_MUSL = re.compile(r"ld-musl-([\w.-]+?)\.so\.1$")
_MUSL_DIRECTORIES = ("/lib", "/usr/local/lib", "/usr/lib")
_COMPILED_IN = re.compile(rb"(?:/[\w./+-]*lib[\w./+-]*/\0){2,}")
_SYSTEM = frozenset(("/usr/lib/", "/usr/lib64/"))


def search(
    definition: HostDefinition,
    environ: Mapping[str, str],
    machine: str,
    *,
    loader: str | None = None,
    root: Path = Path("/"),
) -> Search:
    """Return how libraries are looked for. ``loader`` is the PT_INTERP of the interpreter."""
    own = (part for part in environ.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":"))
    musl = _MUSL.search(loader or "")
    if musl is None:
        default = _compiled_in(loader) or defaults(machine)
        configuration = configured(root, root / "etc/ld.so.conf")
    else:
        configuration = _listed(root / f"etc/ld-musl-{musl.group(1)}.path")
        default = tuple(one for one in _MUSL_DIRECTORIES if not configuration or one in configuration)
    return Search(
        library_path=tuple(part for part in own if part.startswith("/")),
        configured=configuration,
        default=default,
        never=definition.never_libraries,
        prefer=definition.prefer_libraries,
        musl=loader if musl is not None else None,
    )


def place(found: Search) -> str:
    """Return the directory of shared libraries that the loader searches without configuration."""
    return next((one for one in found.default if one.startswith("/usr/lib")), "/usr/lib")


def defaults(machine: str) -> tuple[str, ...]:
    """Return the directories that the loaders of the common distributions search, Debian's first."""
    triplet = f"{machine}-linux-gnu"
    names = (f"lib/{triplet}", f"usr/lib/{triplet}", "lib64", "usr/lib64", "lib", "usr/lib")
    return tuple(f"/{name}" for name in names)


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
                included = root / pattern.lstrip("/") if pattern.startswith("/") else file.parent / pattern
                for name in sorted(glob.glob(str(included))):
                    found.extend(configured(root, Path(name), depth + 1))
        elif words and words[0].startswith("/"):
            found.append(os.path.normpath(words[0]))
    return _once(found)


def _compiled_in(loader: str | None) -> tuple[str, ...]:
    """Return the directories that stand in the loader's own file; none where they can't be found."""
    try:
        data = Path(loader).read_bytes() if loader else b""
    except OSError:
        return ()
    runs = (match.group().decode("ascii").split("\0") for match in _COMPILED_IN.finditer(data))
    return next((_once(names) for names in runs if not _SYSTEM.isdisjoint(names)), ())


def _listed(file: Path) -> tuple[str, ...]:
    try:
        return _once(re.split(r"[:\n]", file.read_text("utf-8", "replace")))
    except OSError:
        return ()


def _once(directories: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(os.path.normpath(one) for one in directories if one.startswith("/")))
