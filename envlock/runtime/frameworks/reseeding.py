"""Seeding calls of the job's own: respected, and told to the record with value and caller.

Each (function, line) is told with its first ten values; a loop that seeds for each sample would fill
the spool. torch's DataLoader, and libraries that sit in its workers, seed these by a scheme of their
own, at each epoch: that is no doing of the job's code and is not told.
"""

from __future__ import annotations

import sys
import time
from _operator import index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

_ORIGINAL = "_envlock_original"
_MOST = 10
_MOST_BITS = 4096
_UNITS = (1, 10**3, 10**6, 10**9)
_FRESH = 3600.0
_WORKER = "torch.utils.data._utils.worker"
_told: dict[tuple[str, str], int] = {}


def watch(owner: Any, name: str, function: str, stream: str) -> Any:
    """Have ``owner.name``, which seeds ``stream``, told of as ``function``; return what it was before."""
    from envlock.runtime import frameworks

    current = getattr(owner, name)
    original = getattr(current, _ORIGINAL, current)
    if original is not current:
        return original

    def recorded(*args: Any, **kwargs: Any) -> Any:
        frameworks.keep(stream)
        values = (*args, *kwargs.values())
        _tell(function, values[0] if values else None)
        return original(*args, **kwargs)

    recorded.__module__ = owner.__name__
    recorded.__name__ = recorded.__qualname__ = name
    recorded.__doc__ = original.__doc__
    setattr(recorded, _ORIGINAL, original)
    setattr(owner, name, recorded)
    return original


def is_time_of_day(value: object) -> bool:
    """Whether ``value`` is a time of the last hour, in seconds, milli-, micro- or nanoseconds since 1970."""
    number = value if isinstance(value, float) else _whole(value)
    now = time.time()
    return number is not None and any((now - _FRESH) * unit < number <= (now + 1) * unit for unit in _UNITS)


def tell_of_clock(function: str, where: str | None) -> None:
    """Tell that the line ``where``, where it is the job's, seeded ``function`` with the time of day."""
    from envlock.runtime import entropy

    entropy.tell(where, f"seeded {function} with the time of day")


def _tell(function: str, value: object) -> None:
    from envlock.runtime import callers, identity, spool

    frame = sys._getframe(2)  # noqa: SLF001 - the caller of the covered function
    where = callers.place(frame)
    times = _told.get((function, where), 0)
    if times < _MOST and not _by_a_workers_library(frame):
        _told[function, where] = times + 1
        if is_time_of_day(value):
            tell_of_clock(function, where)
        spool.report("reseed", identity.label(), function, _shown(value), callers.module(frame), where)


def _by_a_workers_library(frame: FrameType | None) -> bool:
    """Whether libraries alone stand between the seeding call and the loop of a DataLoader's worker."""
    from envlock.runtime import callers

    while frame is not None and callers.is_library(frame.f_code.co_filename):
        if callers.module(frame) == _WORKER:
            return True
        frame = frame.f_back
    return False


def _shown(value: object) -> str:
    if value is None or isinstance(value, (str, float)):
        return repr(value)
    whole = _whole(value)
    # Python refuses to show more than some 4,000 digits.
    return type(value).__name__ if whole is None or whole.bit_length() > _MOST_BITS else str(whole)


def _whole(value: object) -> int | None:
    """Return the integer that ``value`` is, NumPy's included; None for an array or anything else."""
    try:
        return index(value)  # type: ignore[arg-type]  # what is no integer raises
    except TypeError:
        return None
