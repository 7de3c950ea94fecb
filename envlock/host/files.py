"""Atomic writes: a reader sees the old file or the whole new one, never a part.

A temporary name beside the target, flush, fsync, rename; on any error, Ctrl-C included, the
temporary name is removed (python-tuf's ngclient persists metadata the same way).
"""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from envlock.core.digest import Digest
from envlock.runtime.errors import EnvlockError, InputError, UnreachableError

CHUNK = 1 << 20
_MOST = 1 << 30
_BLOCK = 4096
_REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)


@dataclass(frozen=True, slots=True)
class Part:
    """A file that is not yet where it is to be: open, under a name of its own."""

    stream: IO[bytes]
    name: str
    target: Path
    mode: int

    def place(self, *, durable: bool = True) -> None:
        """Let it become the target; :func:`atomic_write` says what ``durable`` is. Raises OSError."""
        self.stream.flush()
        os.fchmod(self.stream.fileno(), self.mode)
        if durable:
            os.fsync(self.stream.fileno())
        self.stream.close()
        os.replace(self.name, self.target)


@contextmanager
def part_of(target: Path, mode: int = 0o644) -> Iterator[Part]:
    """Yield an empty file that is gone when the block ends, unless it was placed. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    stream = os.fdopen(descriptor, "w+b")
    try:
        yield Part(stream, name, target, mode)
    finally:
        Path(name).unlink(missing_ok=True)
        # What is still to be written of a file that nobody wants is no fault, on a full disk neither.
        with suppress(OSError):
            stream.close()


@contextmanager
def atomic_write(target: Path, mode: int = 0o644, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Yield a binary file that becomes ``target`` when the block ends without an error.

    Not ``durable``: a machine that fails may lose it, since nobody waits for the disk. Raises
    UnreachableError when the disk is full and InputError when the place can't be written.
    """
    with telling(target), part_of(target, mode) as part:
        yield part.stream
        part.place(durable=durable)


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Yield an empty directory that replaces ``target`` when the block ends without an error."""
    with telling(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        try:
            yield part
            part.chmod(0o755)
            old = part.with_suffix(".old")
            if target.exists():
                os.replace(target, old)
            os.replace(part, target)
            remove_tree(old)
        except BaseException:
            remove_tree(part)
            raise


@contextmanager
def scratch_directory(parent: Path | None = None) -> Iterator[Path]:
    """Yield a private temporary directory that is gone when the block ends."""
    path = Path(tempfile.mkdtemp(prefix="envlock-", dir=parent))
    try:
        yield path
    finally:
        remove_tree(path)


def remove_tree(path: Path) -> None:
    """Remove ``path`` and all below it, unwritable directories included; absent is fine."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for directory, _, _ in os.walk(path):
        os.chmod(directory, 0o700)
    shutil.rmtree(path)


def file_digest(path: Path) -> Digest:
    """Return the SHA-256 of the file's bytes, read in 1 MiB pieces."""
    with path.open("rb") as stream:
        return stream_digest(stream)


def without_waiting(name: str, flags: int) -> int:
    """Open as ``open`` does (its ``opener``), but a pipe that nobody writes to is empty, not waited for."""
    return os.open(name, flags | os.O_NONBLOCK)


def stream_digest(stream: IO[bytes]) -> Digest:
    """Return the SHA-256 of what is left in ``stream``."""
    state = hashlib.sha256()
    while piece := stream.read(CHUNK):
        state.update(piece)
    return Digest(state.hexdigest())


def copy(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy the whole of one file to where another stands; by the kernel where that may share blocks."""
    target.flush()
    ends, start, done = (source.fileno(), target.fileno()), target.tell(), 0
    # Elsewhere than at a whole block nothing can be shared, and the kernel takes a third longer than this.
    if start % _BLOCK == 0:
        # Not all file systems know how, and old kernels stop early: the last line does what is left.
        with suppress(OSError):
            while count := os.copy_file_range(*ends, _MOST, offset_src=done, offset_dst=start + done):
                done += count
    source.seek(done)
    target.seek(start + done)
    shutil.copyfileobj(source, target, CHUNK)


@contextmanager
def telling(target: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one message that names the place."""
    try:
        yield
    except EnvlockError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UnreachableError(
                "no space left on the disk",
                where=str(target),
                hint="free some space, or choose another place with -o, ENVLOCK_CACHE or TMPDIR",
            ) from error
        if error.errno in _REFUSALS:
            raise InputError("cannot write", where=str(target), found=os.strerror(error.errno)) from error
        raise
