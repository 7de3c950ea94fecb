"""The interpreter: asking it, naming its kind, and where it will stand in the image."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from envlock.capture import probe
from envlock.capture.packages import Database
from envlock.host import process
from envlock.lock.model import PrefixKind, Python
from envlock.runtime.errors import InputError, UnreachableError, UsageError

TARGET = "/opt/python"
_HOME = re.compile(r"^(/root|/home/[^/]+|/Users/[^/]+)(?=/|$)")
_LOWEST = (3, 8)
# Before anything is imported: modules in the current directory are the job's, not the probe's. An old
# interpreter can't evaluate the annotations.
_BEFORE = "from __future__ import annotations; import sys; sys.path[:] = [one for one in sys.path if one]\n"
_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """What the probe printed. Paths are those of the captured machine."""

    implementation: str
    version: str
    soabi: str
    build: str
    libc: str = "unknown"
    """``glibc 2.36``: the C library that the interpreter runs on."""
    executable: Path
    """The base interpreter with every symlink resolved, never a venv's link."""
    prefix: Path
    base_prefix: Path
    built_prefix: str
    stdlib: Path
    path: tuple[Path, ...]
    """The directories of sys.path."""
    user_site: Path
    distributions: tuple[Mapping[str, str | None], ...]

    @property
    def minor(self) -> str:
        """``3.11`` of ``3.11.7``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def sites(self) -> tuple[Path, ...]:
        """The directories of sys.path that hold distributions: all but the standard library."""
        return tuple(p for p in self.path if p != self.stdlib and p.name != "lib-dynload")


def home_of(path: str) -> str | None:
    """Return the home directory that ``path`` lies in (``/home/ann``), or None."""
    found = _HOME.match(path)
    return found.group(1) if found else None


@cache
def script() -> str:
    """Return the probe's text, read once: inside the root of an image its file is out of reach."""
    return Path(probe.__file__).read_text("utf-8")


def ask(python: Path, environ: Mapping[str, str], *, bare: bool = False) -> Interpreter:
    """Run the probe with ``python`` and return its answer; ``bare``: without the distributions.

    Raises UsageError when it is no Python interpreter, InputError when it is one that is too old.
    """
    # Not isolated mode (-I): that would hide the user's own site-packages, which jobs see.
    no_user_site = ["-s"] if environ.get("PYTHONNOUSERSITE") else []
    argv = [
        str(python),
        "-E",
        "-B",
        *no_user_site,
        "-c",
        _BEFORE + script(),
        *(["--bare"] if bare else []),
    ]
    try:
        done = process.run(argv, env=dict(environ), timeout=_SECONDS)
    except UnreachableError as error:
        raise UsageError(
            "not a Python interpreter", where=str(python), found=error.found, hint="--python takes a program"
        ) from error
    answer = done.stdout.decode("utf-8", "replace").rpartition(probe.MARKER)[2]
    try:
        found = _interpreter(json.loads(answer))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "the interpreter did not answer",
            where=str(python),
            expected=f"CPython {_LOWEST[0]}.{_LOWEST[1]} or later",
            found=_last_line(done.stderr) or f"exit status {done.exit_code}",
        ) from error
    if tuple(map(int, found.minor.split("."))) < _LOWEST:
        raise InputError(
            "the interpreter is too old",
            where=str(python),
            expected=f"CPython {_LOWEST[0]}.{_LOWEST[1]} or later",
            found=found.version,
        )
    return found


def _interpreter(answer: dict[str, Any]) -> Interpreter:
    return Interpreter(
        implementation=answer["implementation"],
        version=answer["version"],
        soabi=answer["soabi"],
        build=answer["build"],
        libc=answer["libc"],
        executable=Path(answer["executable"]),
        prefix=Path(answer["prefix"]),
        base_prefix=Path(answer["base_prefix"]),
        built_prefix=answer["built_prefix"],
        stdlib=Path(answer["stdlib"]),
        path=tuple(Path(entry) for entry in answer["path"]),
        user_site=Path(answer["user_site"]),
        distributions=tuple(answer["distributions"]),
    )


def _last_line(text: bytes) -> str:
    lines = text.decode("utf-8", "replace").strip().splitlines()
    # An image's interpreter must not steer the terminal that shows its last words.
    return "".join(one for one in lines[-1] if one.isprintable()) if lines else ""


def describe(interpreter: Interpreter, *, owned: bool) -> Python:
    """Return the lock's value. ``owned``: an OS package owns the executable."""
    return Python(
        implementation=interpreter.implementation,
        version=interpreter.version,
        # ``cpython-311-x86_64-linux-gnu`` → ``cpython-311``: the machine stands in the OS table.
        abi="-".join(interpreter.soabi.split("-")[:2]),
        build=interpreter.build,
        prefix_kind=kind(interpreter, owned=owned),
        prefix="/usr" if owned else target(interpreter.base_prefix),
    )


def described_in_place(interpreter: Interpreter, *, owned: bool) -> Python:
    """Return the lock's value for an interpreter that stays where it is: in a base, nothing moves."""
    return replace(describe(interpreter, owned=owned), prefix=str(interpreter.base_prefix))


def libc_of(interpreter: Interpreter, database: Database) -> str:
    """Return ``glibc 2.36``, or ``musl 1.2.5-r0``, which only its package tells."""
    musl = database.named("musl") if interpreter.libc == "unknown" else None
    return f"musl {musl.version}" if musl is not None else interpreter.libc


def kind(interpreter: Interpreter, *, owned: bool) -> PrefixKind:
    """Return who installed the base interpreter; a venv's kind is that of what it was made from."""
    prefix = interpreter.base_prefix
    if owned:
        return "system"
    if (prefix / "conda-meta").is_dir():
        return "conda"
    if prefix.parent.name == "versions" and "pyenv" in prefix.parts[-3]:
        return "pyenv"
    # python-build-standalone (uv, rye, hatch) is built for /install and moved by who unpacks it.
    return "standalone" if interpreter.built_prefix == "/install" else "other"


def target(prefix: Path) -> str:
    """Return where a prefix that no OS package owns stands in the image.

    Paths compiled into its binaries can only be replaced by ones that are not longer, so a shorter
    prefix that names no home directory (``/usr/local``) keeps its path.
    """
    text = str(PurePosixPath(prefix))
    return text if len(text) < len(TARGET) and home_of(text) is None else TARGET
