"""Saving and loading: which run a checkpoint belongs to, and in which order things are put back."""

from __future__ import annotations

import os
import sys

from envlock.runtime import atomic, decimals, identity, seeds, spool
from envlock.runtime.checkpoint import generators, objects, trees
from envlock.runtime.checkpoint.archive import Reader, Writer
from envlock.runtime.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

_VERSIONED = ("numpy", "torch", "tensorflow", "jax", "numba")


def save(path: str, data: object = None, **named: object) -> None:
    """Write the generators of this process, the state of the ``named`` objects, and plain ``data``.

    The file appears whole or not at all; one that is there is replaced. Each rank, and each process
    that saves, needs a path of its own. Raises InputError for what can't be kept, and OSError.
    """
    # Before anything is encoded: that may import NumPy, which makes generators.
    state = generators.snapshot()

    def fill(stream: BinaryIO) -> None:
        with Writer(stream) as writer:
            writer.end(
                {
                    "run": _run(),
                    "versions": _versions(),
                    "generators": state,
                    "objects": {name: objects.save(value, writer, name) for name, value in named.items()},
                    "data": trees.to_document(data, writer, "data"),
                }
            )

    atomic.write(os.fspath(path), fill)


def load(path: str, /, *, exactly: bool = True, **named: object) -> Any:
    """Put back what :func:`save` wrote to ``path``, and return its ``data``.

    ``exactly`` False takes objects and data alone, from whatever run: to start from trained weights.
    Otherwise the generators are put back too, last, and the checkpoint must be of the same seed,
    experiment, trial, rank and process, under the same versions. Raises InputError, IntegrityError
    (nothing has been changed then, unless an object refuses its state), and OSError.
    """
    where = os.fspath(path)
    with open(where, "rb") as stream:
        reader = Reader(stream, where)
        kept = reader.manifest
        if exactly:
            _check(kept, where)
        _check_names(set(kept["objects"]), set(named), where)
        for name, value in named.items():
            objects.load(value, kept["objects"][name], reader, f"{where}: {name}")
        data = trees.from_document(kept["data"], reader)
    if exactly:
        generators.restore(kept["generators"])
    spool.report("gap", identity.label(), f"goes on from a checkpoint, sha256 {reader.sha256}")
    return data


def _run() -> dict[str, object]:
    """Return what decides this process's seeds; empty outside a run."""
    if not os.environ.get("ENVLOCK_SEED"):
        return {}
    found = seeds.current()
    return {**found.as_dict(), "master": decimals.to_text(found.master), "process": "/".join(found.process)}


def _versions() -> dict[str, str]:
    loaded = ((name, sys.modules.get(name)) for name in _VERSIONED)
    found = {name: str(getattr(module, "__version__", "")) for name, module in loaded if module}
    return {**found, "python": sys.version.partition(" ")[0]}


def _check(kept: dict[str, Any], where: str) -> None:
    """Refuse a checkpoint of another run, or one made by other versions of what is loaded here."""
    for subject, own in (("run", _run()), ("versions", _versions())):
        saved = kept[subject]
        for name in sorted({*saved, *own} if subject == "run" else {*saved} & {*own}):
            if saved.get(name) != own.get(name):
                raise InputError(
                    "the checkpoint can't be gone on from here to the bit",
                    where=f"{where}: {name}",
                    expected=repr(saved.get(name)),
                    found=repr(own.get(name)),
                    hint="load(…, exactly=False) takes its objects and data alone",
                )


def _check_names(saved: set[str], named: set[str], where: str) -> None:
    if saved != named:
        raise InputError(
            "other objects were saved",
            where=where,
            expected=", ".join(sorted(saved)) or "none",
            found=", ".join(sorted(named)) or "none",
        )
