"""Hashing what a job reads and writes."""

from __future__ import annotations

import os
import stat

from envlock.runtime.errors import RefusedError
from envlock.runtime.manifest import Input, Output
from envlock.runtime.record import FileHash
from envlock.runtime.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RECORDS = "records"
_CHUNK = 1 << 20


class FileState(Value):
    """What changes when a file does: size in bytes, times in nanoseconds, inode."""

    size: int
    modified: int
    changed: int
    inode: int


def checked_inputs(inputs: Sequence[Input], work: str) -> tuple[FileHash, ...]:
    """Return the inputs' hashes; those of a directory are one a file.

    Raises RefusedError for an input that is missing or whose hash is not the manifest's.
    """
    found: list[FileHash] = []
    for one in inputs:
        files = tuple(_files(one.path, work))
        if not files:
            raise RefusedError("an input is missing", where=one.path, hint=f"is it mounted under {work}?")
        hashes = [hashed(name, path) for name, path in files]
        if one.sha256 is not None and [one.sha256] != [file.sha256 for file in hashes]:
            raise RefusedError(
                "an input has changed",
                where=one.path,
                expected=f"sha256 {one.sha256}",
                found=", ".join(f"{file.sha256}" for file in hashes[:3]),
                hint="take the hash out of the manifest to accept the new file",
            )
        found += hashes
    return tuple(found)


def declared(outputs: Sequence[Output], work: str) -> tuple[FileHash, ...]:
    """Return the hashes of the manifest's outputs; one that is missing stands there without a hash."""
    found: list[FileHash] = []
    for one in outputs:
        files = tuple(_files(one.path, work))
        found += [hashed(name, path, one.compare) for name, path in files]
        if not files:
            found.append(FileHash(one.path, None, None, one.compare))
    return tuple(found)


def snapshot(out: str) -> dict[str, FileState]:
    """Return the state of every regular file under ``out`` but those of its ``records`` directory."""
    states = {path: _state(path) for path in _walk(out, skip=os.path.join(out, RECORDS))}
    return {path: state for path, state in states.items() if state}


def written_since(before: dict[str, FileState], out: str) -> tuple[FileHash, ...]:
    """Return the hashes of what is new or changed under ``out``, by absolute path."""
    after = snapshot(out)
    return tuple(hashed(path, path) for path in sorted(after) if after[path] != before.get(path))


def _files(name: str, work: str) -> Iterator[tuple[str, str]]:
    """Yield (name as recorded, path) of the file ``name``, or of each regular file below it."""
    path = os.path.join(work, name)
    if os.path.isfile(path):
        yield name, path
        return
    for found in filter(_state, _walk(path)):
        yield os.path.join(name, os.path.relpath(found, path)), found


def _walk(top: str, skip: str | None = None) -> Iterator[str]:
    for directory, directories, files in os.walk(top):
        directories[:] = sorted(one for one in directories if os.path.join(directory, one) != skip)
        for one in sorted(files):
            yield os.path.join(directory, one)


def _state(path: str) -> FileState | None:
    """Return a regular file's state; None for anything else, and for what a process just removed."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return FileState(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def hashed(name: str, path: str, compare: str = "bytes") -> FileHash:
    """Return the file's hash under ``name``; none where it can't be read."""
    # Imported here: it loads OpenSSL, and many runs have nothing to hash.
    import hashlib

    state = hashlib.sha256()
    size = 0
    try:
        with open(path, "rb") as stream:
            for piece in iter(lambda: stream.read(_CHUNK), b""):
                state.update(piece)
                size += len(piece)
    except OSError:
        # Gone, or closed to us, since it was listed: as good as missing.
        return FileHash(name, None, None, compare)
    return FileHash(name, state.hexdigest(), size, compare)
