"""From the libraries that the environment loads to the files that the ``host`` base is made of.

Rules kept here:

* A library that an OS package owns brings the whole package, so that its plug-ins and data come too;
  essential packages (images/host.toml) are packed in every case, with the libraries of their programs.
* The machine's files are taken as they are, since they are what ran. One that differs from its
  package's checksum is a gap, and its real MD5 is what the packer then holds it to.
* Every symlink on the way to a library is packed (alternatives, merged /usr).
* Nothing of the environment itself is packed here, and nothing below a home directory keeps its path.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from envlock.capture import closure, elf, interpreter_tree, loader, objects, package_files
from envlock.capture.closure import Closure, Missing, Search
from envlock.capture.host_definition import HostDefinition, matcher
from envlock.capture.links import resolve
from envlock.capture.objects import Objects
from envlock.capture.packages_dpkg import Database, DebianPackage
from envlock.capture.python import TARGET, Interpreter, home_of
from envlock.lock.environment import HostFiles, InterpreterTree
from envlock.lock.model import Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The host files, what was loaded (for the CUDA and BLAS tables) and what is not as it should be."""

    files: HostFiles
    loaded: tuple[str, ...]
    """Paths of every library of the closure, the environment's own included."""
    gaps: tuple[Gap, ...]


@dataclass(slots=True)
class _Sorted:
    """Paths sorted by whose they are."""

    packages: dict[str, DebianPackage]
    loose: set[str]
    moved: set[str]
    interpreter: set[str]


def collect(
    interpreter: Interpreter,
    own: Objects,
    *,
    database: Database,
    definition: HostDefinition,
    environ: Mapping[str, str],
    machine: str,
) -> Collected:
    """Return the host files of an environment whose shared objects are ``own``."""
    executable = database.owner(str(interpreter.executable))
    packages = _essential(database, definition)
    if executable is not None:
        packages |= _interpreter_packages(interpreter, database, definition)
    search = loader.search(definition, environ, machine)
    found = _closure(interpreter, own, packages.values(), database, definition, search)
    whose = _sorted(found.libraries, interpreter, own, database, packages, owned=executable is not None)
    for link in definition.links:
        _place(link, whose, database)
    whose.loose |= {alias for alias, _ in database.aliases}
    tree = None
    if executable is None:
        tree = interpreter_tree.collect(interpreter, definition, tuple(sorted(whose.interpreter)))
    packed, gaps = package_files.pack(whose.packages.values(), database, definition)
    moved = tuple((path, f"{TARGET}/lib/{os.path.basename(path)}") for path in sorted(whose.moved))
    files = HostFiles(
        packages=packed,
        loose=tuple(sorted(whose.loose)),
        interpreter=tree,
        python_executable=_executable(interpreter, tree),
        moved=moved,
        links=_links(found.unreachable, dict(moved), tree, own, machine),
    )
    gaps = (*gaps, *_missing(found.missing, interpreter))
    return Collected(files=files, loaded=found.libraries, gaps=gaps)


def _essential(database: Database, definition: HostDefinition) -> dict[str, DebianPackage]:
    named = (database.named(name) for name in definition.essential)
    return {package.lists: package for package in named if package is not None}


def _interpreter_packages(
    interpreter: Interpreter, database: Database, definition: HostDefinition
) -> dict[str, DebianPackage]:
    """Return the packages that own the executable and files of the standard library."""
    never = matcher(definition.never_packages)
    start = f"{database.real(str(interpreter.stdlib))}/"
    keys = {key for path, key in database.owners.items() if path.startswith(start)}
    executable = database.owner(str(interpreter.executable))
    keys |= {executable.lists} if executable is not None else set()
    return {key: database.packages[key] for key in keys if not never(database.packages[key].name)}


def _closure(
    interpreter: Interpreter,
    own: Objects,
    packages: Iterable[DebianPackage],
    database: Database,
    definition: HostDefinition,
    search: Search,
) -> Closure:
    """Resolve, then again with what is opened by name, until nothing is new."""
    standard = objects.collect([interpreter.stdlib], without=("site-packages", "dist-packages"))
    roots = {str(interpreter.executable), *own.found, *standard.found}
    for package in packages:
        roots |= {path for path in database.files(package) if _is_program(path)}
    extra: set[str] = set()
    while True:
        found = closure.resolve(
            roots | extra, provided=own.provided, look=lambda path: elf.read(Path(path)), search=search
        )
        opened = _opened({*found.libraries, *own.found}, definition, search) - extra
        if not opened:
            return replace(found, libraries=tuple(sorted({*found.libraries, *extra})))
        extra |= opened


def _is_program(path: str) -> bool:
    return path.startswith(("/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/")) or ".so" in path


def _opened(loaded: set[str], definition: HostDefinition, search: Search) -> set[str]:
    names = {os.path.basename(path) for path in loaded}
    wanted = {
        name
        for entry in definition.opened
        if any(fnmatchcase(loaded_name, entry.when) for loaded_name in names)
        for name in entry.wants
    }
    places = (*search.default, *search.configured)
    candidates = (next((p for d in places if os.path.isfile(p := f"{d}/{name}")), None) for name in wanted)
    return {path for path in candidates if path is not None}


def _sorted(
    libraries: Iterable[str],
    interpreter: Interpreter,
    own: Objects,
    database: Database,
    packages: dict[str, DebianPackage],
    *,
    owned: bool,
) -> _Sorted:
    whose = _Sorted(dict(packages), set(), set(), set())
    prefix = None if owned else f"{interpreter.base_prefix}/"
    for path in libraries:
        resolved = resolve(path)
        real = resolved.path if resolved is not None else path
        if path in own.found or real in own.found:
            continue
        if prefix is not None and real.startswith(prefix):
            whose.interpreter.add(path)
        else:
            _place(path, whose, database)
    return whose


def _place(path: str, whose: _Sorted, database: Database) -> None:
    """Give ``path`` and every link on the way to it to its owner."""
    resolved = resolve(path)
    for way in (resolved.path, *resolved.links) if resolved is not None else ():
        package = database.owner(way)
        if os.path.isdir(way) and not os.path.islink(way):
            continue
        if package is not None:
            whose.packages.setdefault(package.lists, package)
        elif home_of(way) is not None:
            whose.moved.add(way)
        else:
            whose.loose.add(way)


def _links(
    unreachable: Iterable[str],
    moved: Mapping[str, str],
    tree: InterpreterTree | None,
    own: Objects,
    machine: str,
) -> tuple[tuple[str, str], ...]:
    """Return links in the loader's default directory for what it would not find in the image."""
    place = loader.multiarch(machine)
    links = {f"{place}/{os.path.basename(path)}": target for path, target in moved.items()}
    for path in unreachable:
        if path in own.found:
            continue
        target = moved.get(path, path)
        if tree is not None and path.startswith(f"{tree.prefix}/"):
            target = tree.target + path.removeprefix(str(tree.prefix))
        links.setdefault(f"{place}/{os.path.basename(path)}", target)
    return tuple(sorted((link, target) for link, target in links.items() if not os.path.lexists(link)))


def _executable(interpreter: Interpreter, tree: InterpreterTree | None) -> str:
    if tree is None:
        return str(interpreter.executable)
    return f"{tree.target}/{interpreter.executable.relative_to(tree.prefix)}"


def _missing(missing: Iterable[Missing], interpreter: Interpreter) -> tuple[Gap, ...]:
    """Return one gap a library name, with the first of those who need it."""
    needed: dict[str, list[str]] = {}
    for one in missing:
        needed.setdefault(one.name, []).append(_short(one.requester, interpreter))
    return tuple(
        Gap(
            subject=name,
            reason=f"no library of this name was found; needed by {min(by)}"
            + (f" and {len(by) - 1} more" if len(by) > 1 else ""),
        )
        for name, by in sorted(needed.items())
    )


def _short(path: str, interpreter: Interpreter) -> str:
    """Return ``path`` without the directories that name this machine."""
    for site in (*interpreter.sites, interpreter.stdlib):
        if path.startswith(f"{site}/"):
            return path.removeprefix(f"{site}/")
    return os.path.basename(path)
