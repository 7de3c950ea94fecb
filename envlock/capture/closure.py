"""Which libraries the dynamic loader would load: the NEEDED closure, without loading anything.

The rules are those of ld.so(8), "DESCRIPTION": a name with a slash is a path; else DT_RPATH of the
object, of those that loaded it and of the program (only where the object has no DT_RUNPATH),
LD_LIBRARY_PATH, DT_RUNPATH of the object itself, the directories of ld.so.conf, the default
directories. A candidate of another class or machine is passed over. What ld.so does not find by
itself but the environment brings under that soname counts as found: nvidia wheels are loaded by their
users before those who need them. Names on the ``prefer`` list are taken from the environment first for
the same reason.

musl's loader (ldso/dynlink.c) differs: LD_LIBRARY_PATH comes first, RPATH and RUNPATH are one and reach
what the object loads, and the names of the C library's parts are the loader itself.

Pure: the file system is the ``look`` argument.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from posixpath import dirname, normpath

from envlock.capture.elf import Elf

Look = Callable[[str], Elf | None]
_MUSL_ITSELF = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\.")
_PLATFORMS = {62: "x86_64", 183: "aarch64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Where the loader looks besides the object's own paths, and what is never followed."""

    library_path: tuple[str, ...] = ()
    """LD_LIBRARY_PATH's directories."""
    configured: tuple[str, ...] = ()
    """Directories of ld.so.conf."""
    default: tuple[str, ...] = ()
    """The loader's built-in directories."""
    never: tuple[str, ...] = ()
    """Patterns of names that the container toolkit injects (libcuda.so*): neither found nor missing."""
    prefer: tuple[str, ...] = ()
    """Patterns of names that an environment's own library answers before the system's."""
    musl: str | None = None
    """The path of musl's loader, where it is the one."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Missing:
    """``requester`` (a path) needs ``name``, which nothing provides."""

    requester: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """``libraries``: each path once, as the loader would open it, sorted; roots are not in it."""

    libraries: tuple[str, ...]
    unreachable: tuple[str, ...]
    """Those of ``libraries`` that only LD_LIBRARY_PATH or ld.so.conf led to."""
    missing: tuple[Missing, ...]


@dataclass(slots=True)
class _Walk:
    """The state of one resolution: what is to be visited and what is known."""

    look: Look
    search: Search
    provided: dict[str, str]
    known: dict[str, Elf | None] = field(default_factory=dict)
    found: set[str] = field(default_factory=set)
    by_configuration: set[str] = field(default_factory=set)
    missing: set[Missing] = field(default_factory=set)

    def elf(self, path: str) -> Elf | None:
        if path not in self.known:
            self.known[path] = self.look(path)
        return self.known[path]


def resolve(
    roots: Iterable[str],
    *,
    provided: dict[str, str],
    look: Look,
    search: Search,
    program: str | None = None,
) -> Closure:
    """Follow NEEDED from ``roots`` (absolute paths of ELF files; others are skipped).

    ``provided`` maps sonames to the environment's own libraries; ``look`` reads an ELF file or
    returns None when there is none at that path. ``program`` is the one whose process opens the roots:
    conda's Python leads with its DT_RPATH the extension modules of wheels to the prefix's libraries.
    """
    walk = _Walk(look, search, provided)
    main = walk.elf(program) if program is not None else None
    inherited = _reach(main, program, (), search)[1] if main is not None and program is not None else ()
    # Each object is visited once, with the RPATHs of its first loader: so does ld.so in one process.
    queue: deque[tuple[str, tuple[str, ...]]] = deque((root, inherited) for root in sorted(set(roots)))
    seen = {root for root, _ in queue}
    while queue:
        path, inherited = queue.popleft()
        elf = walk.elf(path)
        if elf is None:
            continue
        rpath, passed = _reach(elf, path, inherited, search)
        for name in elf.needed:
            target = _find(walk, path, elf, name, rpath)
            if target is not None and target not in seen:
                seen.add(target)
                queue.append((target, passed))
    return Closure(
        libraries=tuple(sorted(walk.found)),
        unreachable=tuple(sorted(walk.by_configuration)),
        missing=tuple(sorted(walk.missing)),
    )


def _reach(
    elf: Elf, path: str, inherited: tuple[str, ...], search: Search
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the directories that are searched first for what ``elf`` needs, and those that it hands on."""
    if search.musl is not None:
        both = (*_expanded(elf.runpath or elf.rpath, path, elf), *inherited)
        return both, both
    if elf.runpath:
        # DT_RPATH reaches what the object loads, also past an object that has a RUNPATH of its own.
        return (), inherited
    rpath = (*_expanded(elf.rpath, path, elf), *inherited)
    return rpath, rpath


def _find(walk: _Walk, path: str, elf: Elf, name: str, rpath: tuple[str, ...]) -> str | None:
    """Return the path that ``name`` resolves to for the object at ``path``, recording the answer."""
    if _named(name, walk.search.never):
        return None
    if walk.search.musl is not None and _MUSL_ITSELF.match(name):
        walk.found.add(walk.search.musl)
        return walk.search.musl
    own = walk.provided.get(name)
    found = own if own is not None and _named(name, walk.search.prefer) else None
    found = found or _searched(walk, elf, _candidates(walk.search, path, elf, name, rpath)) or own
    if found is None:
        walk.missing.add(Missing(requester=path, name=name))
    else:
        walk.found.add(found)
    return found


def _named(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _candidates(
    search: Search, path: str, elf: Elf, name: str, rpath: tuple[str, ...]
) -> Iterable[tuple[str, bool]]:
    """Yield (path, only configuration leads there) in the loader's order."""
    if "/" in name:
        yield normpath(name), False
        return
    first, second = (rpath, False), (search.library_path, True)
    stages = (
        *((second, first) if search.musl is not None else (first, second)),
        (_expanded(elf.runpath, path, elf), False),
        (search.configured, True),
        (search.default, False),
    )
    for directories, configured in stages:
        for directory in directories:
            yield normpath(f"{directory}/{name}"), configured and directory not in search.default


def _searched(walk: _Walk, elf: Elf, candidates: Iterable[tuple[str, bool]]) -> str | None:
    """Return the first candidate of the same class and machine as ``elf``."""
    for candidate, configured in candidates:
        other = walk.elf(candidate)
        if other is not None and (other.bits, other.machine) == (elf.bits, elf.machine):
            if configured:
                walk.by_configuration.add(candidate)
            return candidate
    return None


def _expanded(directories: tuple[str, ...], path: str, elf: Elf) -> tuple[str, ...]:
    """Replace ld.so's tokens ($ORIGIN, $LIB, $PLATFORM, with or without braces)."""
    tokens = {
        "ORIGIN": dirname(path),
        "LIB": "lib64" if elf.bits == 64 else "lib",  # noqa: PLR2004 (the ELF class)
        "PLATFORM": _PLATFORMS.get(elf.machine, ""),
    }
    expanded = []
    for directory in directories:
        text = directory
        for token, value in tokens.items():
            text = text.replace(f"${{{token}}}", value).replace(f"${token}", value)
        expanded.append(text)
    return tuple(expanded)
