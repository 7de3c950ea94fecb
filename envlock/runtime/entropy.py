"""What the job takes from the system, the clock or the machine: left as it is, and named in the record.

``os.urandom`` (through it ``secrets``, ``uuid.uuid4`` and ``random.SystemRandom``) and ``os.getrandom``
give keys and names that must not repeat, ``uuid.uuid1`` makes names of the time and the machine. A result
that hangs on them can't be repeated, so the record says which lines of the job's own code asked, and that
native code did. What libraries ask for (names of temporary files, keys between processes) and what runs
while a module is imported is not told.

A generator that is seeded with the time of day is told too (``frameworks/reseeding.py``). What can't be
seen at a price worth paying is in docs/adr/0033-entropy-that-is-seen.md.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

_MOST = 100
_OWN_BEHALF = ("multiprocessing", "tempfile", "asyncio", "concurrent", "ssl")
_MARK = "_envlock_original"
_SYSTEM = "took random bytes from the operating system"
_NAME = "made a name of the time and this machine"
_told: set[tuple[str, str]] = set()


def watch() -> None:
    """Cover ``os.urandom`` and, where the system has it, ``os.getrandom``."""
    for name in ("urandom", "getrandom"):
        _cover(os, name, _SYSTEM)


def after_uuid(module: Any) -> None:
    """Cover what ``uuid`` makes of clock and machine; ``uuid6`` is Python 3.14's."""
    for name in ("uuid1", "uuid6"):
        _cover(module, name, _NAME)


def _cover(owner: Any, name: str, what: str) -> None:
    current = getattr(owner, name, None)
    if current is None:
        return
    original = getattr(current, _MARK, current)

    def covered(*args: Any, **kwargs: Any) -> Any:
        tell(jobs_line(sys._getframe().f_back), what)  # noqa: SLF001 - no other way tells who asks
        return original(*args, **kwargs)

    covered.__module__, covered.__name__, covered.__doc__ = owner.__name__, name, original.__doc__
    covered.__qualname__ = name
    setattr(covered, _MARK, original)
    setattr(owner, name, covered)


def jobs_line(frame: FrameType | None) -> str | None:
    """Return the job's line that asked, directly or through the standard library; None for others."""
    from envlock.runtime import callers

    if frame is None:
        # Native threads call without any Python frame below them.
        return callers.NATIVE
    asking: FrameType | None = frame
    while asking is not None:
        path = asking.f_code.co_filename
        if not callers.is_library(path):
            return f"{path}:{asking.f_lineno}"
        module = callers.module(asking).partition(".")[0]
        if not callers.is_standard(path) or module in _OWN_BEHALF or path.startswith("<frozen importlib"):
            return None
        asking = asking.f_back
    return None


def tell(where: str | None, what: str) -> None:
    """Tell once that the line ``where`` took what no seed repeats."""
    if where is not None and (where, what) not in _told and len(_told) < _MOST:
        from envlock.runtime import spool

        _told.add((where, what))
        spool.report("unrepeatable", where, what)
