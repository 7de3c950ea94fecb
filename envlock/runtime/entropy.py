"""What the job takes from the operating system: left random, rightly, and named in the record.

``os.urandom`` (through it ``secrets``, ``uuid.uuid4`` and ``random.SystemRandom``) gives keys and
names that must not repeat. A result that hangs on them can't be repeated either, so the record says
which lines of the job asked. What the standard library asks for on its own behalf (keys between
processes, names of temporary files) and what runs while a module is imported are not told.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

_MOST = 100
_OWN_BEHALF = ("multiprocessing", "importlib", "tempfile", "asyncio", "concurrent", "ssl", "zipimport")
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

    if _on_own_behalf(frame):
        return
    where = callers.place(frame)
    if where not in _told and len(_told) < _MOST:
        _told.add(where)
        spool.report("entropy", where)


def _on_own_behalf(frame: FrameType | None) -> bool:
    """Whether the standard library asks for itself: such a module comes before any other code."""
    from envlock.runtime import callers

    while frame is not None:
        name = callers.module(frame).partition(".")[0]
        if name in _OWN_BEHALF or name.startswith("_frozen_importlib"):
            return True
        if not callers.is_standard(frame.f_code.co_filename):
            return False
        frame = frame.f_back
    return False
