"""One process at a time, on this machine."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` for the block, waiting for whoever holds it.

    The kernel releases the lock when its holder dies, so a killed process blocks nobody. The empty
    file stays: removing it would let two processes each lock another file of the same name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
