"""Reading a few bytes of a big file over HTTP (RFC 9110 section 14, range requests).

A wheel's list of files and its RECORD stand at its end, and how long they are is known from what is
installed. So one request is mostly enough to know what is in it, whatever its size.
"""

import io
import zipfile
import zlib
from collections.abc import Iterable
from typing import IO

import requests

from envlock.host.http import byte_range, reason, status
from envlock.lock.environment import RecordEntry
from envlock.runtime.errors import InputError, UnreachableError
from envlock.wheels import packed_record, record
from envlock.wheels.credentials import used_login
from envlock.wheels.public_url import public

# What a file takes in a wheel's end: a line of the list (APPNOTE 4.3.12), one of RECORD with the hash in
# base64, which deflates by a quarter at most, and some bytes for times and sizes.
_MEMBER = 46 + 44 + 16
_LEAST_TAIL = 1 << 13
_PIECE = 1 << 15
_GONE = frozenset({404, 410})
_REFUSED = frozenset({401, 403})
# How servers say that they know no such range; some know none that counts from the end.
_NO_RANGES = frozenset({400, 405, 416, 501})


class NoRangesError(Exception):
    """The server sends whole files only; ``private``: to someone with a login."""

    def __init__(self, answer: requests.Response) -> None:
        """``answer`` is the one that holds no range."""
        super().__init__()
        self.private = used_login(answer)


class RemoteFile(io.RawIOBase):
    """A file on a server, read piece by piece; what was read is kept.

    Raises NoRangesError, FileNotFoundError when the server has no such file, and UnreachableError, also
    when the server wants a login.
    """

    def __init__(self, client: requests.Session, url: str, tail: int = _LEAST_TAIL) -> None:
        """Ask for the file's end, ``tail`` bytes of it; the answer tells its size."""
        super().__init__()
        self._client = client
        self._url = url
        self._position = 0
        self._pieces: list[tuple[int, bytes]] = []
        self.private = False
        """Whether a login was sent for it."""
        self.size = self._request(f"bytes=-{tail}")

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in the file."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to ``offset``, counted as in any file."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("before the beginning of the file")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # narrower than Buffer, as io calls it
        """Fill ``buffer`` as far as one kept or requested piece reaches."""
        if self._position >= self.size or not len(buffer):
            return 0
        data = self._at(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _at(self, position: int, length: int) -> bytes:
        for start, piece in self._pieces:
            if start <= position < start + len(piece):
                return piece[position - start : position - start + length]
        last = min(position + max(length, _PIECE), self.size) - 1
        self._request(f"bytes={position}-{last}")
        return self._pieces[-1][1][:length]

    def _request(self, wanted: str) -> int:
        # Without this header a server may compress, and a range of compressed bytes says nothing.
        headers = {"Range": wanted, "Accept-Encoding": "identity"}
        try:
            with self._client.get(self._url, headers=headers, stream=True) as answer:
                span = self._span(answer)
                data = answer.content
        except requests.RequestException as error:
            raise _unreachable(self._url, *reason(error)) from error
        first, last, size = span
        if len(data) != last - first + 1:
            raise NoRangesError(answer)
        self.private |= used_login(answer)
        self._pieces.append((first, data))
        return size

    def _span(self, answer: requests.Response) -> tuple[int, int, int]:
        """Return which part of the file an answer holds, and the file's size."""
        if answer.status_code in _GONE:
            raise FileNotFoundError(public(self._url))
        if answer.status_code in _REFUSED:
            raise _unreachable(self._url, status(answer.status_code), "its host wants a login")
        if answer.status_code in _NO_RANGES:
            raise NoRangesError(answer)
        answer.raise_for_status()
        span = byte_range(answer)
        if span is None:
            raise NoRangesError(answer)
        return span


def tail_of(installed: Iterable[RecordEntry]) -> int:
    """Return how many bytes at its end hold a wheel's list of files and RECORD, by what it left installed."""
    return _LEAST_TAIL + sum(len(one.path) + _MEMBER for one in installed if one.sha256 is not None)


def _unreachable(url: str, found: str, hint: str | None = None) -> UnreachableError:
    return UnreachableError("cannot read the wheel", where=public(url), found=found, hint=hint)


def read_record(stream: IO[bytes] | io.RawIOBase, where: str) -> tuple[RecordEntry, ...]:
    """Return the RECORD of the wheel in ``stream``. Raises InputError for what is no wheel."""
    try:
        return record.parse(packed_record.read(stream))
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise InputError("not a readable wheel", where=where, found=str(error)) from error
