"""Seeding calls of the job's own: respected, and told to the record with value and caller.

Each (function, line) is told with its first ten values; a loop that seeds for each sample would fill
the spool. torch's DataLoader seeds its workers by a scheme of its own, which is no doing of the job.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ORIGINAL = "_envlock_original"
_MOST = 10
_NOT_THE_JOBS = "torch.utils.data._utils.worker"
_told: dict[tuple[str, str], int] = {}


def watch(owner: Any, name: str, function: str) -> Any:
    """Have ``owner.name`` told of as ``function`` when it is called; return what it was before."""
    current = getattr(owner, name)
    original = getattr(current, _ORIGINAL, current)
    if original is not current:
        return original

    def recorded(*args: Any, **kwargs: Any) -> Any:
        values = (*args, *kwargs.values())
        _tell(function, values[0] if values else None)
        return original(*args, **kwargs)

    recorded.__module__ = owner.__name__
    recorded.__name__ = recorded.__qualname__ = name
    recorded.__doc__ = original.__doc__
    setattr(recorded, _ORIGINAL, original)
    setattr(owner, name, recorded)
    return original


def _tell(function: str, value: object) -> None:
    from envlock.runtime import callers, identity, spool

    frame = sys._getframe(2)  # noqa: SLF001 - the caller of the covered function
    by, where = callers.module(frame), callers.place(frame)
    times = _told.get((function, where), 0)
    if by != _NOT_THE_JOBS and times < _MOST:
        _told[function, where] = times + 1
        spool.report("reseed", identity.label(), function, _shown(value), by, where)


def _shown(value: object) -> str:
    if value is None or isinstance(value, (str, int, float)):
        return repr(value)
    return str(int(value)) if hasattr(value, "__index__") else type(value).__name__
