"""What the file system says of files, so that work on their bytes need not be done twice.

Rules kept here (docs/adr/0019-remembered-verification.md):

* A file's status is its device, inode, size, time of modification and time of change, in nanoseconds.
  Who changes bytes, or puts another file in the place, changes it: the time of change is set by the
  kernel alone, never by a program.
* A file counts as settled when its last change lies two seconds back. Two changes within one tick of
  a file system's clock look alike, so what was seen of an unsettled file proves nothing later.
* A file that is not there, or can't be reached, is observed as absent, which is a status too.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Clock = Callable[[], int]
"""Returns nanoseconds since 1970, as :func:`time.time_ns` does."""

SETTLED_AFTER = 2_000_000_000
"""Nanoseconds. Longer than the tick of any file system that environments lie on (ext3: one second)."""

_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Observation:
    """The statuses of some files at one moment: equal digests mean that none of them changed."""

    digest: str
    settled: bool


def observe(paths: Iterable[str], clock: Clock = time.time_ns) -> Observation:
    """Look at each of ``paths`` (links are followed), in the order given."""
    taken = clock()
    state = hashlib.sha256()
    lines: list[str] = []
    newest = 0
    for path in paths:
        try:
            status = os.stat(path)
        except (OSError, ValueError):  # ValueError: a NUL in the name
            lines.append(f"{path}\0\0")
        else:
            changed = status.st_ctime_ns
            newest = max(newest, changed)
            lines.append(
                f"{path}\0{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {changed}\0"
            )
        if len(lines) == _BATCH:
            state.update("".join(lines).encode("utf-8", "surrogateescape"))
            lines.clear()
    state.update("".join(lines).encode("utf-8", "surrogateescape"))
    return Observation(state.hexdigest(), newest + SETTLED_AFTER <= taken)
