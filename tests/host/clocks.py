"""Clocks for tests of what is remembered by file status."""

import time

_TEN_SECONDS = 10_000_000_000


def later() -> int:
    """Tell a time by which every file that a test has written counts as settled."""
    return time.time_ns() + _TEN_SECONDS
