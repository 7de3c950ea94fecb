"""What a base that somebody else made brings, read inside its root by a process that has no rights.

Started as :mod:`envlock.capture.inside` is. Nothing of the base runs but its Python interpreters, each
asked once who it is; libraries are found as the base's own dynamic loader would find them, by reading.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from envlock.capture import elf, host_definition, loader, operating_system, packages_select
from envlock.capture.elf import Elf
from envlock.capture.packages import Database, OsPackage
from envlock.capture.packages_rpm import Ask
from envlock.capture.python import Interpreter, ask, described_in_place, libc_of
from envlock.lock.model import OperatingSystem, Pairs, Python, SystemPackage
from envlock.runtime.errors import InputError, UsageError

# Where images keep an interpreter that their PATH does not name.
_COMMON = ("/usr/local/bin", "/usr/bin", "/opt/python/bin", "/opt/conda/bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseInterpreter:
    """An interpreter of the base. ``executable``: its own path in the base, every link followed."""

    python: Python
    executable: str
    libc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseContents:
    """What the base brings of what was asked for."""

    interpreters: tuple[BaseInterpreter, ...]
    """In the order of its PATH."""
    os: OperatingSystem
    libraries: Pairs
    """Soname → ``os:NAME`` or ``unowned``, of each one asked for that the loader finds."""
    packages: tuple[SystemPackage, ...]
    """The OS packages that own these, sorted."""


def read(
    sonames: Iterable[str],
    minor: str,
    variables: Mapping[str, str],
    start_only: Callable[..., None],
    common: tuple[str, ...] = _COMMON,
    rpm: Ask | None = None,
) -> BaseContents:
    """Return what the base has of interpreters like ``minor`` (``3.11``) and of ``sonames``.

    ``variables`` are the base's own, ``rpm`` what that program said of it before. ``start_only`` is told
    of all interpreters before one is started.
    """
    programs = _programs(minor, variables, common)
    start_only(*programs)
    database, _ = packages_select.load(rpm=rpm)
    asked = tuple(_answers(programs, variables))
    system = operating_system.read(libc=libc_of(asked[0], database) if asked else "unknown")
    found = dict(_found(sonames, asked, variables, system.machine))
    owners = {name: _owner(path, database) for name, path in found.items()}
    owning = {one.key: one for one in owners.values() if one is not None}
    return BaseContents(
        interpreters=tuple(_described(one, database) for one in asked),
        os=system,
        libraries=tuple(
            sorted((name, f"os:{one.name}" if one else "unowned") for name, one in owners.items())
        ),
        packages=tuple(one.described for _, one in sorted(owning.items())),
    )


def _programs(minor: str, variables: Mapping[str, str], common: tuple[str, ...]) -> tuple[Path, ...]:
    """Return each interpreter once, those of the exact name first."""
    path = variables.get("PATH", os.defpath).split(os.pathsep)
    places = [place for place in (*path, *common) if place.startswith("/")]
    names = [f"{place}/{name}" for name in (f"python{minor}", "python3", "python") for place in places]
    by_file = {os.path.realpath(name): Path(name) for name in reversed(names) if shutil.which(name)}
    return tuple(reversed(by_file.values()))


def _answers(programs: Iterable[Path], variables: Mapping[str, str]) -> Iterator[Interpreter]:
    for program in programs:
        # Too old, or no interpreter after all: none that is wanted.
        with suppress(InputError, UsageError):
            yield ask(program, variables)


def _described(interpreter: Interpreter, database: Database) -> BaseInterpreter:
    executable = str(interpreter.executable)
    return BaseInterpreter(
        python=described_in_place(interpreter, owned=database.owner(executable) is not None),
        executable=executable,
        libc=libc_of(interpreter, database),
    )


def _found(
    sonames: Iterable[str], asked: tuple[Interpreter, ...], variables: Mapping[str, str], machine: str
) -> Iterator[tuple[str, str]]:
    """Yield (soname, path) of each library that a process of the first interpreter would find."""
    program = elf.read(asked[0].executable) if asked else None
    named = program.interpreter if program is not None else None
    search = loader.search(host_definition.read(), variables, machine, loader=named)
    places = (*search.library_path, *search.configured, *search.default)
    for name in sonames:
        paths = (f"{place}/{name}" for place in places)
        path = next((path for path in paths if _fits(elf.read(Path(path)), program)), None)
        if path is not None:
            yield name, path


def _fits(one: Elf | None, program: Elf | None) -> bool:
    if one is None:
        return False
    return program is None or (one.bits, one.machine) == (program.bits, program.machine)


def _owner(path: str, database: Database) -> OsPackage | None:
    return database.owner(os.path.realpath(path)) or database.owner(path)
