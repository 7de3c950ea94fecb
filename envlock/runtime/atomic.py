"""Writing a file whole or not at all: a temporary name beside it, then a rename."""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO


def write(path: str, fill: Callable[[BinaryIO], object], *, durable: bool = True) -> None:
    """Write to ``path`` what ``fill`` writes to the stream that it is given. Raises OSError.

    Missing directories are made. ``durable`` waits for the disk, file and directory.
    """
    directory = os.path.dirname(path) or "."
    os.makedirs(directory, exist_ok=True)
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "w+b") as stream:
            fill(stream)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        os.replace(part, path)
        if durable:
            _flush(directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def _flush(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        # Some network file systems can't flush a directory.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
