"""The traces of a run as its entrypoint sees them: a directory among the records, a hash for each file."""

from __future__ import annotations

import os

from envlock.runtime import outputs
from envlock.runtime.image import Gap
from envlock.runtime.record import Trace

_SUBJECT = "determinism.trace"
_NOTHING = "nothing was traced: no module or optimizer of torch ran, and no fit of Keras"


def make(records: str, name: str) -> tuple[str | None, tuple[Gap, ...]]:
    """Return a new directory for the run whose record is called ``name``, or why there is none."""
    path = os.path.join(records, f"{name.rpartition('.')[0]}.trace")
    try:
        os.mkdir(path)
    except OSError as error:
        return None, (Gap(_SUBJECT, f"nothing was traced: {error.strerror}"),)
    return path, ()


def collected(level: str, directory: str) -> tuple[Trace, tuple[Gap, ...]]:
    """Return what stands in ``directory`` after the job, and what there is to say of it."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        names = []
    files = tuple(outputs.hashed(name, os.path.join(directory, name)) for name in names)
    return Trace(level, os.path.basename(directory), files), () if files else (Gap(_SUBJECT, _NOTHING),)
