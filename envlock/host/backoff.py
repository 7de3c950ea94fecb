"""Waiting before another try, longer each time, or as long as the server asks."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

RETRIABLE = (408, 429, 500, 502, 503, 504)
"""HTTP statuses that another try may mend (RFC 9110)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """``attempts`` tries in all; seconds of waiting double from ``first`` up to ``longest``."""

    attempts: int = 6
    first: float = 0.5
    longest: float = 30.0
    pause: Callable[[float], None] = time.sleep

    def wait(self, attempt: int, retry_after: str | None = None) -> None:
        """Wait after try number ``attempt``, counted from 0, or as long as ``Retry-After`` says."""
        self.pause(min(max(_seconds(retry_after), self.first * 2**attempt), self.longest))


def _seconds(retry_after: str | None) -> float:
    """Return what the header asks for: a number, or a date (RFC 9110 section 10.2.3); else nothing."""
    try:
        return Retry().parse_retry_after(retry_after) if retry_after else 0.0
    except InvalidHeader:
        return 0.0
