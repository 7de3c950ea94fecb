"""The image's own interpreter, run from its unpacked base: no namespace, no root, no container engine.

Rules kept here:

* The interpreter is what /opt/env/bin/python leads to in the base, or what the lock names in it. It is
  started through the base's own dynamic loader (PT_INTERP) with the base's library directories, so that
  not a byte of this machine's Python or libraries decides what it answers; the worker checks that.
* It sees a clean environment with a fixed hash seed, and neither site-packages nor startup files.
"""

import json
import os
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from envlock.capture import elf
from envlock.core.digest import Digest
from envlock.core.progress import Progress
from envlock.host import process, trees
from envlock.host.store import Store
from envlock.image.bytecode_worker import FORMAT
from envlock.lock.model import Base, BaseLayer, Python
from envlock.oci.extraction import RootFilesystem
from envlock.oci.inflation import inflated
from envlock.runtime.errors import EnvlockError, InputError, UnreachableError

ENVIRONMENT: Final[Mapping[str, str]] = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}
_PYTHON: Final = "/opt/env/bin/python"
_WORKER: Final = Path(__file__).with_name("bytecode_worker.py")
_LIBRARIES: Final = ("lib", "lib64", "usr/lib", "usr/lib64", "usr/local/lib")
_MOUNT_POINTS: Final = ("dev", "proc", "run", "sys", "tmp")
"""What is mounted over where a base's interpreter is asked (:mod:`envlock.engines.inspection`)."""
_MAX_LINKS: Final = 40
_SECONDS: Final = 900
_HINT: Final = "envlock build --no-bytecode makes an image that compiles at every start instead"


class InterpreterError(UnreachableError):
    """The interpreter does not answer here. Anything else that goes wrong beside it is another error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """An interpreter in the unpacked base at ``root``. ``argv`` starts it, before its own arguments."""

    root: Path
    executable: str
    """Its path in the image."""
    argv: tuple[str, ...]
    python: Python

    def compiled(self, archive: Path, files: Sequence[tuple[str, str]], label: str) -> bytes:
        """Return the zip of the pycs of ``files``: (member of ``archive``, path in the image).

        Raises InterpreterError, which names ``label``, when the interpreter does not answer.
        """
        request = {
            "archive": os.path.abspath(archive),
            "root": str(self.root),
            "tag": cache_tag(self.python),
            "version": self.python.version,
            "files": list(files),
        }
        argv = (*self.argv, "-s", "-S", "-B", "-W", "ignore", str(_WORKER))
        done = _run(argv, json.dumps(request).encode(), label)
        if done.exit_code:
            raise _failed(label, done)
        return done.stdout


def cache_tag(python: Python) -> str:
    """Return what names the interpreter in a pyc's file name: ``cpython-311``."""
    return f"{python.implementation.lower()}-{python.minor.replace('.', '')}"


def prepared(base: Base, python: Python, store: Store, progress: Progress) -> Interpreter:
    """Return the interpreter of a base whose layers the store has, unpacked now if it is not yet.

    Raises InputError when the base has none, or a layer is malformed.
    """
    root = tree(unpacked_layers(base), store, progress)
    return found(root, python, base.python or _PYTHON)


def unpacked_layers(base: Base) -> tuple[BaseLayer, ...]:
    """Return the layers that hold the interpreter: all, but for what envlock put on another's base."""
    return tuple(layer for layer in base.layers if not layer.added)


def tree(layers: Sequence[BaseLayer], store: Store, progress: Progress) -> Path:
    """Return where the files of ``layers`` lie, unpacked now if they are not yet."""

    def make(part: Path) -> None:
        with progress.task("unpack the base", None):
            unpack(layers, store, part)
            for name in _MOUNT_POINTS:
                if not os.path.lexists(part / name):
                    (part / name).mkdir()

    return trees.kept(trees.place(store, "interpreters", identity(layers)), store, make)


def identity(layers: Sequence[BaseLayer]) -> str:
    """Return a name for the interpreter and the bytecode that it makes: layers and formats."""
    text = " ".join((FORMAT, *(layer.diff_id.hex for layer in layers)))
    return Digest.of(text.encode()).hex


def unpack(layers: Sequence[BaseLayer], store: Store, directory: Path) -> None:
    """Unpack ``layers``, whose bytes the caller has checked, into ``directory``."""
    tree = RootFilesystem(directory)
    for layer in layers:
        with store.path(layer.blob).open("rb") as stream:
            tree.apply(inflated(stream, str(layer.blob)), str(layer.blob))
    tree.finish()


def found(root: Path, python: Python, named: str = _PYTHON) -> Interpreter:
    """Return the interpreter ``named`` of the base unpacked at ``root``. Raises InputError without one."""
    root = Path(os.path.realpath(root))
    executable = _resolved(root, named)
    program = elf.read(_at(root, executable))
    if program is None:
        raise InputError(
            "the base has no interpreter", where=named, expected="a program", found=executable, hint=_HINT
        )
    argv: tuple[str, ...] = (str(_at(root, executable)),)
    if program.interpreter is not None:
        loader = _at(root, _resolved(root, program.interpreter))
        argv = (str(loader), "--library-path", ":".join(_directories(root, executable)), *argv)
    return Interpreter(root=root, executable=executable, argv=argv, python=python)


def _directories(root: Path, executable: str) -> list[str]:
    """Return the base's library directories: the interpreter's own, the multiarch ones, the plain ones."""
    own = posixpath.join(posixpath.dirname(posixpath.dirname(executable)), "lib")[1:]
    plain = [_at(root, _resolved(root, f"/{name}")) for name in dict.fromkeys((own, *_LIBRARIES))]
    multiarch = [path for directory in plain for path in sorted(directory.glob("*-linux-*"))]
    return [str(path) for path in dict.fromkeys((*multiarch, *plain)) if path.is_dir()]


def _at(root: Path, path: str) -> Path:
    return root / path[1:]


def _resolved(root: Path, path: str) -> str:
    """Return ``path`` of the image with its links followed as inside the image: ``/`` is ``root``."""
    done, rest, links = "/", posixpath.normpath(path).split("/")[1:], 0
    while rest:
        current = posixpath.join(done, rest.pop(0))
        place = _at(root, current)
        if not place.is_symlink():
            done = current
            continue
        links += 1
        if links > _MAX_LINKS:
            raise InputError("links lead in a circle", where=path)
        target = posixpath.normpath(posixpath.join(done, os.readlink(place)))
        done, rest = "/", [*target.lstrip("/").split("/"), *rest]
    return done


def _run(argv: tuple[str, ...], request: bytes, label: str) -> process.Completed:
    try:
        return process.run(argv, env=ENVIRONMENT, stdin=request, timeout=_SECONDS)
    except (EnvlockError, OSError) as error:
        raise InterpreterError(
            "the image's interpreter does not run here", where=label, found=str(error), hint=_HINT
        ) from error


def _failed(label: str, done: process.Completed) -> EnvlockError:
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["nothing said"]
    end = f"exit {done.exit_code}" if done.exit_code > 0 else f"signal {-done.exit_code}"
    return InterpreterError(
        "cannot compile bytecode",
        where=label,
        expected="the image's interpreter to answer",
        found=f"{end}: {lines[-1]}",
        hint=_HINT,
    )
