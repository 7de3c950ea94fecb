"""Waiting before another try, longer each time, or as long as the server asks; and telling of it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from envlock.core.progress import Progress

RETRIABLE = (408, 429, 500, 502, 503, 504)
"""HTTP statuses that another try may mend (RFC 9110)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """``attempts`` tries in all; seconds of waiting double from ``first`` up to ``longest``."""

    attempts: int = 6
    first: float = 0.5
    longest: float = 30.0
    pause: Callable[[float], None] = time.sleep

    def seconds(self, attempt: int, retry_after: str | None = None) -> float:
        """Return the pause after try number ``attempt``, counted from 0, or what ``Retry-After`` says."""
        return min(max(_seconds(retry_after), self.first * 2.0**attempt), self.longest)


class Waits:
    """Tells of pauses. Safe to use from many threads, whose pauses for one server are told as one."""

    def __init__(self, progress: Progress) -> None:
        """Tell ``progress``."""
        self._progress = progress
        self._lock = threading.Lock()
        self._ends: dict[str, float] = {}

    def tell(self, server: str, found: str, seconds: float) -> None:
        """Say why ``server`` is asked again and when, unless a pause for it is still under way."""
        with self._lock:
            now = time.monotonic()
            if now < self._ends.get(server, now):
                return
            self._ends[server] = now + seconds
        self._progress.note(f"{server}: {found}; asking again in {seconds:g} s")


def _seconds(retry_after: str | None) -> float:
    """Return what the header asks for: a number, or a date (RFC 9110 section 10.2.3); else nothing."""
    try:
        return Retry().parse_retry_after(retry_after) if retry_after else 0.0
    except InvalidHeader:
        return 0.0
