"""Which files the facts of an environment were read from, so that its lock can be remembered.

Rules kept here (docs/adr/0025-remembered-lock.md):

* Rather too much than too little: whole directories of the environment, of the interpreter, of the package
  manager's database and of places where the loader looks.
* Where facts come from more than files (git's answer about an editable install), there is no reach.
"""

import os
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

from envlock.capture import contents, cuda, elf, host_definition
from envlock.capture.editable import text_of
from envlock.capture.host_files import PROGRAMS, Collected
from envlock.capture.packages import Database
from envlock.capture.python import Interpreter
from envlock.host.reach import Reach
from envlock.lock.environment import HostFiles, InstalledDistribution

# What packages_dpkg, packages_apk, packages_rpm and loader read.
_DATABASES = ("/var/lib/dpkg", "/lib/apk/db", "/usr/lib/apk/db", "/var/lib/rpm", "/usr/lib/sysimage/rpm")
_LOADER = ("/etc/ld.so.conf", "/etc/os-release", "/usr/lib/os-release")
_LOADER_TREES = ("/etc/ld.so.conf.d",)
_PREFIX = ("bin", "include", "lib", "share", "ssl")
_SITES = ("site-packages", "dist-packages")


def of(
    interpreter: Interpreter,
    installed: Iterable[InstalledDistribution],
    host: Collected,
    database: Database,
) -> Reach | None:
    """Return the reach of an environment that was read."""
    distributions = tuple(installed)
    if any(map(_is_more_than_files, distributions)) or _is_spread():
        return None
    trees = _outermost(
        [
            *map(str, interpreter.path),
            *_prefixes(interpreter, database),
            *map(str, contents.library_directories(distributions, interpreter)),
            *_DATABASES,
            *_LOADER_TREES,
        ]
    )
    sites = {os.path.realpath(one) for one in interpreter.sites}
    unused = {f"{interpreter.stdlib}/{name}" for name in _SITES} - sites
    covered = _Covered(trees, unused)
    files = {
        *_LOADER,
        *trees,
        str(interpreter.executable),
        *(f"{one}/conda-meta" for one in (interpreter.prefix, interpreter.base_prefix)),
        *_recorded(distributions, covered),
        *_of_host(host.files, database),
        *host.loaded,
        *host.examined,
        *_loader(interpreter),
        *cuda.toolkit_files(host.searched),
    }
    listings = {os.path.realpath(one) for one in (*host.searched, *PROGRAMS)}
    return Reach(
        trees=trees,
        without=tuple(sorted(unused)),
        listings=tuple(sorted(one for one in listings if not covered.has(f"{one}/"))),
        files=tuple(sorted(one for one in files if one in trees or not covered.has(one))),
    )


def _prefixes(interpreter: Interpreter, database: Database) -> Iterator[str]:
    """Yield the directories of the environment and of the interpreter, where no OS package owns that."""
    base = interpreter.base_prefix
    if interpreter.prefix != base:
        yield str(interpreter.prefix)
    if (base / "conda-meta").is_dir():
        yield str(base)
    elif database.owner(str(interpreter.executable)) is None:
        yield from (f"{base}/{name}" for name in _PREFIX)


def _is_spread() -> bool:
    """Tell whether the loader's configuration lies in other places than the usual."""
    files = (Path(_LOADER[0]), *Path(_LOADER_TREES[0]).glob("*"))
    lines = [line for file in files if file.is_file() for line in text_of(file).splitlines()]
    patterns = (line.split()[1:] for line in lines if line.split()[:1] == ["include"])
    return any(os.path.dirname(one) != _LOADER_TREES[0] for some in patterns for one in some)


def _is_more_than_files(distribution: InstalledDistribution) -> bool:
    direct = distribution.direct_url
    return distribution.editable or (direct is not None and direct.kind == "directory")


class _Covered:
    """Tells what lies in trees, links on the way resolved."""

    def __init__(self, trees: Iterable[str], without: Iterable[str]) -> None:
        self._inside = tuple(f"{os.path.realpath(one)}/" for one in trees)
        self._outside = tuple(f"{os.path.realpath(one)}/" for one in without)
        self._real = cache(os.path.realpath)

    def has(self, path: str) -> bool:
        directory, _, _ = path.rpartition("/")
        place = f"{self._real(directory)}/"
        return place.startswith(self._inside) and not place.startswith(self._outside)


def _outermost(directories: Iterable[str]) -> tuple[str, ...]:
    """Return the directories that lie in no other, sorted."""
    found: list[str] = []
    for one in sorted({os.path.normpath(one) for one in directories}):
        if not found or not one.startswith(f"{found[-1]}/"):
            found.append(one)
    return tuple(found)


def _recorded(distributions: Iterable[InstalledDistribution], covered: _Covered) -> Iterator[str]:
    """Yield the files of distributions that lie in no tree."""
    for one in distributions:
        site = str(one.site)
        paths = (entry.path if entry.path.startswith("/") else f"{site}/{entry.path}" for entry in one.record)
        carried = (str(file.path) for file in one.carried)
        local = [str(one.direct_url.local)] if one.direct_url is not None and one.direct_url.local else []
        yield from (path for path in chain(paths, carried, local) if not covered.has(path))


def _of_host(files: HostFiles, database: Database) -> Iterator[str]:
    """Yield what is packed, what its packages list besides, and what the definition asks for."""
    definition = host_definition.read()
    yield from (*definition.links, *definition.programs, *definition.bundles, *files.loose)
    yield from (source for source, _ in files.moved)
    yield from (link for link, _ in files.links)
    yield from (alias for alias, _ in database.aliases)
    names = {(one.package.name, one.package.architecture) for one in files.packages}
    for package in database.packages.values():
        if (package.name, package.architecture) in names:
            listed = (*database.files(package), *database.licences(package))
            yield from (path for path in listed if not os.path.isdir(path) or os.path.islink(path))
    yield from database.indexes()


def _loader(interpreter: Interpreter) -> Iterator[str]:
    program = elf.read(interpreter.executable)
    if program is not None and program.interpreter is not None:
        yield program.interpreter
        name = os.path.basename(program.interpreter).partition(".")[0]
        yield f"/etc/{name}.path"  # musl's configuration
