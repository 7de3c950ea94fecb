"""What the job takes from the operating system: left random, rightly, and named in the record.

``os.urandom`` (through it ``secrets``, ``uuid.uuid4`` and ``random.SystemRandom``) gives keys and
names that must not repeat. A result that hangs on them can't be repeated either, so the record says
which lines of the job's own code asked, and that native code did. What libraries ask for (names of
temporary files, keys between processes) and what runs while a module is imported is not told.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

_MOST = 100
_OWN_BEHALF = ("multiprocessing", "tempfile", "asyncio", "concurrent", "ssl")
_MARK = "_envlock_original"
_told: set[str] = set()


def watch() -> None:
    """Cover ``os.urandom``."""
    original = getattr(os.urandom, _MARK, os.urandom)

    def urandom(size: int) -> bytes:
        # Native threads call this without any Python frame below it.
        _tell(sys._getframe().f_back)  # noqa: SLF001 - no other way tells who asks
        return bytes(original(size))

    urandom.__module__, urandom.__qualname__, urandom.__doc__ = "os", "urandom", original.__doc__
    setattr(urandom, _MARK, original)
    os.urandom = urandom


def _tell(frame: FrameType | None) -> None:
    from envlock.runtime import callers, spool

    where = callers.NATIVE if frame is None else _jobs_line(frame)
    if where is not None and where not in _told and len(_told) < _MOST:
        _told.add(where)
        spool.report("entropy", where)


def _jobs_line(frame: FrameType | None) -> str | None:
    """Return the job's line that asked, directly or through the standard library; None for others."""
    from envlock.runtime import callers

    while frame is not None:
        path = frame.f_code.co_filename
        if not callers.is_library(path):
            return f"{path}:{frame.f_lineno}"
        asking = callers.module(frame).partition(".")[0]
        if not callers.is_standard(path) or asking in _OWN_BEHALF or path.startswith("<frozen importlib"):
            return None
        frame = frame.f_back
    return None
