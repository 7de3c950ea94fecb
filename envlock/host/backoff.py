"""Waiting before another try, longer each time, or as long as the server asks."""

import time
from collections.abc import Callable
from dataclasses import dataclass

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
        """Wait after try number ``attempt``, counted from 0. ``Retry-After`` may be given in seconds."""
        stated = float(retry_after) if retry_after and retry_after.isdecimal() else 0.0
        self.pause(min(max(stated, self.first * 2**attempt), self.longest))
