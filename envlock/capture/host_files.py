"""From the libraries that the environment loads to the files that the ``host`` base is made of.

Rules kept here:

* A library that an OS package owns brings the whole package, so that its plug-ins and data come too;
  essential packages (images/host.toml) are packed in every case, with the libraries of their programs.
* The machine's files are taken as they are, since they are what ran. One that differs from its
  package's checksum is a gap, and its real checksum is what the packer then holds it to.
* Where no package manager is known, the essential programs are packed one by one.
* Every symlink on the way to a library is packed (alternatives, merged /usr).
* Nothing of the environment itself is packed here, and nothing below a home directory keeps its path.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from envlock.capture import elf, interpreter_tree, loader, mapped, objects, package_files
from envlock.capture.closure import Missing, Search
from envlock.capture.conda import Conda
from envlock.capture.following import Following, Reader
from envlock.capture.host_definition import HostDefinition, matcher
from envlock.capture.links import resolve
from envlock.capture.objects import Objects
from envlock.capture.packages import Database, OsPackage
from envlock.capture.python import TARGET, Interpreter, home_of
from envlock.lock.environment import HostFiles, InterpreterTree, PackedPackage
from envlock.lock.model import Gap

_CERTIFICATES = "/usr/share/ca-certificates/"
PROGRAMS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The host files, what the environment loads and what is not as it should be."""

    files: HostFiles
    loaded: tuple[str, ...]
    """Paths of every library that the interpreter and the environment load, its own included."""
    gaps: tuple[Gap, ...]
    searched: frozenset[str] = frozenset()
    """Directories in which libraries were looked for."""
    examined: frozenset[str] = frozenset()
    """Files that were taken for libraries and are none."""


@dataclass(slots=True)
class _Sorted:
    """Paths sorted by whose they are."""

    packages: dict[str, OsPackage]
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
    conda: Conda | None = None,
    run: tuple[str, ...] = (),
) -> Collected:
    """Return the host files of an environment whose shared objects are ``own``.

    ``run``: the objects that a real run had loaded (:mod:`envlock.capture.mapped`).
    """
    program = elf.read(interpreter.executable)
    named = program.interpreter if program is not None else None
    search = loader.search(definition, environ, machine, loader=named)
    own = own.loadable(program, musl=search.musl is not None)
    standard = objects.collect([interpreter.stdlib], without=("site-packages", "dist-packages"))
    look = Reader({**own.found, **standard.found})
    following = Following(
        own=own,
        definition=definition,
        search=search,
        conda=conda or Conda(),
        program=str(interpreter.executable),
        look=look,
    )
    owned = database.owner(str(interpreter.executable)) is not None
    known = {str(interpreter.executable), *own.found, *standard.found}
    chosen = _mapped(run, known, interpreter, database, following, owned=owned)
    roots = {*known, *chosen.roots}
    loaded = following.closure(roots)
    packages = _essential(database, definition)
    if owned:
        packages |= _interpreter_packages(interpreter, database, definition)
    programs = _programs(packages.values(), database, definition)
    # Processes of their own, which the interpreter's RPATH does not reach.
    others = replace(following, program=None).closure(programs)
    libraries = {*loaded.libraries, *others.libraries, *chosen.roots}
    whose = _sorted(libraries, interpreter, own, database, packages, owned=owned)
    for path in (*definition.links, *_loose_programs(database, definition), *([named] if named else [])):
        _place(path, whose, database)
    whose.loose |= {alias for alias, _ in database.aliases} | _links_to(definition.links_to, whose, database)
    tree = None
    if not owned:
        tree = interpreter_tree.collect(interpreter, definition, tuple(sorted(whose.interpreter)))
    packed, gaps = package_files.pack(whose.packages.values(), database, definition)
    moved = tuple((path, f"{TARGET}/lib/{os.path.basename(path)}") for path in sorted(whose.moved))
    mapped_there = (path for path in chosen.roots if _by_configuration(path, search))
    unreachable = (*loaded.unreachable, *others.unreachable, *mapped_there)
    files = HostFiles(
        packages=packed,
        loose=tuple(sorted(whose.loose)),
        interpreter=tree,
        python_executable=_executable(interpreter, tree),
        moved=moved,
        links=_links(unreachable, dict(moved), tree, own, loader.place(search)),
        needed=_needed(own, chosen.roots, search, interpreter),
    )
    gaps = (
        *gaps,
        *_trust(packed, definition),
        *own.gaps,
        *chosen.gaps,
        *_missing({*loaded.missing, *others.missing}, interpreter),
    )
    searched, examined = look.examined
    return Collected(
        files=files,
        loaded=tuple(sorted({*loaded.libraries, *chosen.roots})),
        gaps=gaps,
        searched=searched | {*search.library_path, *search.configured, *search.default},
        examined=examined,
    )


def _mapped(
    run: tuple[str, ...],
    known: set[str],
    interpreter: Interpreter,
    database: Database,
    following: Following,
    *,
    owned: bool,
) -> mapped.Chosen:
    """Return which libraries of a real run are to be followed and packed."""
    inside = f"{interpreter.base_prefix}/"

    def is_owned(path: str) -> bool:
        resolved = resolve(path)
        ways = (path, resolved.path) if resolved is not None else (path,)
        if any(database.owner(way) is not None for way in ways) or following.conda.owner(path) is not None:
            return True
        return not owned and ways[-1].startswith(inside)

    return mapped.choose(
        run,
        look=following.look,
        program=following.look(str(interpreter.executable)),
        known=lambda path: path in known or os.path.realpath(path) in known,
        owned=is_owned,
        library_path=following.search.library_path,
        never=following.search.never,
    )


def _trust(packed: Iterable[PackedPackage], definition: HostDefinition) -> tuple[Gap, ...]:
    """Return a gap where this machine has CA certificates and the image will have none."""
    shipped = any(file.path.startswith(_CERTIFICATES) for package in packed for file in package.files)
    if shipped or not any(map(os.path.exists, definition.bundles)):
        return ()
    reason = "no package has them as single files, so the image has no CA bundle and HTTPS fails in it"
    return (Gap(subject="CA certificates", reason=reason),)


def _by_configuration(path: str, search: Search) -> bool:
    place = os.path.dirname(path)
    return place in (*search.library_path, *search.configured) and place not in search.default


def _essential(database: Database, definition: HostDefinition) -> dict[str, OsPackage]:
    manager = next((package.manager for package in database.packages.values()), None)
    names = {"rpm": definition.essential_rpm, "apk": definition.essential_apk}
    found = [database.named(name) for name in names.get(manager or "", definition.essential)]
    found += [database.owner(path) for path in definition.owners]
    return {package.key: package for package in found if package is not None}


def _interpreter_packages(
    interpreter: Interpreter, database: Database, definition: HostDefinition
) -> dict[str, OsPackage]:
    """Return the packages that own the executable and files of the standard library."""
    never = matcher(definition.never_packages)
    start = f"{database.real(str(interpreter.stdlib))}/"
    keys = {key for path, key in database.owners.items() if path.startswith(start)}
    executable = database.owner(str(interpreter.executable))
    keys |= {executable.key} if executable is not None else set()
    return {key: database.packages[key] for key in keys if not never(database.packages[key].name)}


def _programs(packages: Iterable[OsPackage], database: Database, definition: HostDefinition) -> set[str]:
    """Return the programs and libraries of packages that are packed whatever the environment loads."""
    listed = {path for package in packages for path in database.files(package) if _is_program(path)}
    return {*listed, *_loose_programs(database, definition)}


def _loose_programs(database: Database, definition: HostDefinition) -> tuple[str, ...]:
    return () if database.packages else definition.programs


def _is_program(path: str) -> bool:
    return path.startswith(("/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/")) or ".so" in path


def _sorted(
    libraries: Iterable[str],
    interpreter: Interpreter,
    own: Objects,
    database: Database,
    packages: dict[str, OsPackage],
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
        if prefix is not None and real.startswith(prefix) and database.owner(real) is None:
            whose.interpreter.add(path)
        else:
            _place(path, whose, database)
    return whose


def _place(path: str, whose: _Sorted, database: Database) -> None:
    """Give ``path`` and every link on the way to it to its owner."""
    resolved = resolve(path)
    merged = {alias for alias, _ in database.aliases}
    for way in (resolved.path, *resolved.links) if resolved is not None else ():
        # /lib is packed in any case; as a directory it is listed by every other package.
        if way in merged or (os.path.isdir(way) and not os.path.islink(way)):
            continue
        package = database.owner(way)
        if package is not None:
            whose.packages.setdefault(package.key, package)
        elif home_of(way) is not None:
            whose.moved.add(way)
        else:
            whose.loose.add(way)


def _links_to(targets: Iterable[str], whose: _Sorted, database: Database) -> set[str]:
    """Return the links, made by scripts, to programs that are packed: BusyBox's one for each tool."""
    packed = {target for target in targets if (one := database.owner(target)) and one.key in whose.packages}
    if not packed:
        return set()
    candidates = (entry for place in PROGRAMS if os.path.isdir(place) for entry in os.scandir(place))
    links = (entry.path for entry in candidates if entry.is_symlink())
    return {path for path in links if os.path.realpath(path) in packed and database.owner(path) is None}


def _links(
    unreachable: Iterable[str],
    moved: Mapping[str, str],
    tree: InterpreterTree | None,
    own: Objects,
    place: str,
) -> tuple[tuple[str, str], ...]:
    """Return links in the loader's default directory for what it would not find in the image."""
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


def _needed(
    own: Objects, run: Iterable[str], search: Search, interpreter: Interpreter
) -> tuple[tuple[str, str], ...]:
    """Return (soname, who needs it) of what the environment's own objects leave to the system."""
    never, provided = matcher(search.never), own.provided
    needed = {os.path.basename(path): "the job that was run" for path in run}
    for path, one in own.found.items():
        for name in one.needed:
            if name not in provided and not never(name):
                needed.setdefault(os.path.basename(name), _short(path, interpreter))
    return tuple(sorted(needed.items()))


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
