"""One blob into a registry: skipped where it is, mounted where a neighbour has it, else sent in pieces.

Source: OCI distribution-spec 1.1, "Pushing blobs", "Pushing a blob in chunks", "Mounting a blob".
After a broken connection the registry is asked how far it came, and the rest follows. A registry that
can't tell (docker-registry 2.8, where part of a piece arrived) is sent the blob anew.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO, Final
from urllib.parse import urlencode

import requests

from envlock.core.digest import Digest
from envlock.core.progress import Advance
from envlock.oci.registry.client import BrokenError, Repository
from envlock.runtime.errors import EnvlockError, InputError, UnreachableError

CHUNK: Final = 16 << 20
_RANGE = re.compile(r"^(?:bytes=)?0-(\d+)$")
_OK, _CREATED, _ACCEPTED, _NO_CONTENT, _GONE = 200, 201, 202, 204, 404
_LOST: Final = (404, 416)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes to be pushed. ``size`` in bytes; ``open`` gives a seekable stream of them."""

    digest: Digest
    size: int
    open: Callable[[], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """Where an upload goes on, and from which byte. ``location`` is None when nothing is left to send."""

    location: str | None
    offset: int = 0


def upload(
    repository: Repository, blob: Blob, advance: Advance, mount_from: str | None = None, chunk: int = CHUNK
) -> bool:
    """See to it that the repository has ``blob``; return whether any byte of it had to be sent.

    ``mount_from`` is another repository of the registry that is known to have it. ``advance`` is told
    of the bytes done. Raises UnreachableError when the registry fails for good.
    """
    if is_there(repository, blob.digest):
        advance(blob.size)
        return False
    session = _begin(repository, blob, mount_from)
    if session.location is None:
        advance(blob.size)
        return False
    with blob.open() as stream:
        _send_all(repository, blob, stream, session, advance, chunk)
    return True


def is_there(repository: Repository, digest: Digest) -> bool:
    """Ask whether the repository has a blob. Raises UnreachableError."""
    url = repository.url(f"blobs/{digest}")
    return repository.ask("HEAD", url, expected=(_OK, _GONE)).status_code == _OK


def _begin(repository: Repository, blob: Blob, mount_from: str | None) -> _Session:
    if mount_from is not None:
        query = urlencode({"mount": str(blob.digest), "from": mount_from})
        try:
            answer = repository.send(
                "POST",
                repository.url(f"blobs/uploads/?{query}"),
                expected=(_CREATED, _ACCEPTED),
                headers={"Content-Length": "0"},
                more_scopes=(f"repository:{mount_from}:pull",),
            )
        except (BrokenError, UnreachableError):
            # A neighbour that may not be read is no reason to fail: the bytes are here.
            return _begin(repository, blob, None)
        if answer.status_code == _CREATED:
            return _Session(location=None)
        return _Session(location=_location(repository, answer))
    answer = repository.ask(
        "POST", repository.url("blobs/uploads/"), expected=(_ACCEPTED,), headers={"Content-Length": "0"}
    )
    return _Session(location=_location(repository, answer))


def _send_all(
    repository: Repository, blob: Blob, stream: IO[bytes], session: _Session, advance: Advance, chunk: int
) -> None:
    failures, told = 0, 0
    while session.location is not None:
        try:
            session = _step(repository, blob, stream, session, chunk)
            failures = 0
        except BrokenError as error:
            if failures == repository.backoff.attempts - 1:
                raise repository.unreachable(f"an upload that breaks off: {error.found}") from error
            repository.pause(failures, error)
            failures += 1
            session = _resumed(repository, blob, session)
        done = min(session.offset, blob.size) if session.location is not None else blob.size
        advance(max(done - told, 0))
        told = max(done, told)


def _step(repository: Repository, blob: Blob, stream: IO[bytes], session: _Session, chunk: int) -> _Session:
    """Send the next piece, or close the upload when all pieces are there."""
    location = str(session.location)
    if session.offset >= blob.size:
        join = "&" if "?" in location else "?"
        closing = f"{location}{join}{urlencode({'digest': str(blob.digest)})}"
        answer = repository.send("PUT", closing, expected=(_CREATED, *_LOST), headers={"Content-Length": "0"})
        _refuse_lost(answer)
        return _Session(location=None)
    stream.seek(session.offset)
    data = stream.read(min(chunk, blob.size - session.offset))
    if not data:
        raise InputError(
            "a blob is shorter than it should be", where=str(blob.digest), expected=str(blob.size)
        )
    last = session.offset + len(data) - 1
    answer = repository.send(
        "PATCH",
        location,
        expected=(_ACCEPTED, *_LOST),
        headers={"Content-Range": f"{session.offset}-{last}", "Content-Type": "application/octet-stream"},
        data=data,
    )
    _refuse_lost(answer)
    return _Session(location=_location(repository, answer), offset=_received(answer, last + 1))


def _refuse_lost(answer: requests.Response) -> None:
    """Have the upload looked at anew when the registry no longer knows it, or has another part of it."""
    if answer.status_code in _LOST:
        raise BrokenError(f"status {answer.status_code}")


def _resumed(repository: Repository, blob: Blob, session: _Session) -> _Session:
    """Ask how far the upload came; begin anew where the registry no longer knows of it."""
    if is_there(repository, blob.digest):
        return _Session(location=None)
    try:
        answer = repository.ask("GET", str(session.location), expected=(_NO_CONTENT,))
    except EnvlockError:
        return _begin(repository, blob, None)
    return _Session(location=_location(repository, answer), offset=_received(answer, 0))


def _received(answer: requests.Response, default: int) -> int:
    """Return how many bytes the registry has; ``Range: 0-0`` is what some say of none."""
    found = _RANGE.match(answer.headers.get("Range", ""))
    if found is None:
        return default
    last = int(found.group(1))
    return last + 1 if last else 0


def _location(repository: Repository, answer: requests.Response) -> str:
    location = answer.headers.get("Location")
    if not location:
        raise repository.unreachable("no Location of the upload")
    return repository.absolute(location)


def iterate(blobs: tuple[Blob, ...]) -> Iterator[Blob]:
    """Yield each digest once, the largest first, so that the last to end is a small one."""
    seen: set[Digest] = set()
    for blob in sorted(blobs, key=lambda one: -one.size):
        if blob.digest not in seen:
            seen.add(blob.digest)
            yield blob
