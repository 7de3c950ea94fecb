"""Reading a few bytes of a big file over HTTP (RFC 9110 section 14, range requests).

A wheel's list of files and its RECORD stand at its end, so two or three small requests are enough to
know what is in it, whatever its size.
"""

import io
import re
import zipfile
import zlib
from typing import IO

import requests

from envlock.host.http import TIMEOUT, redacted
from envlock.lock.environment import RecordEntry
from envlock.runtime.errors import InputError, UnreachableError
from envlock.wheels import record

_TAIL = 1 << 16
_PIECE = 1 << 15
_LARGEST_RECORD = 1 << 26
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_GONE = frozenset({401, 403, 404, 410})


class NoRangesError(Exception):
    """The server sends whole files only."""


class RemoteFile(io.RawIOBase):
    """A file on a server, read piece by piece; what was read is kept.

    Raises NoRangesError, FileNotFoundError when the server has no such file, and UnreachableError.
    """

    def __init__(self, client: requests.Session, url: str) -> None:
        """Ask for the file's end; the answer tells its size."""
        super().__init__()
        self._client = client
        self._url = url
        self._position = 0
        self._pieces: list[tuple[int, bytes]] = []
        self.size = self._request(f"bytes=-{_TAIL}")

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
            with self._client.get(self._url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
                if answer.status_code in _GONE:
                    raise FileNotFoundError(redacted(self._url))
                if answer.status_code == requests.codes.requested_range_not_satisfiable:
                    raise NoRangesError
                answer.raise_for_status()
                matched = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
                if answer.status_code != requests.codes.partial_content or matched is None:
                    raise NoRangesError
                data = answer.content
        except requests.RequestException as error:
            raise UnreachableError(
                "cannot read the wheel", where=redacted(self._url), found=redacted(str(error))
            ) from error
        first, last, size = map(int, matched.groups())
        if len(data) != last - first + 1:
            raise NoRangesError
        self._pieces.append((first, data))
        return size


def read_record(stream: IO[bytes] | io.RawIOBase, where: str) -> tuple[RecordEntry, ...]:
    """Return the RECORD of the wheel in ``stream``. Raises InputError for what is no wheel."""
    try:
        with zipfile.ZipFile(stream) as archive:
            return record.parse(_record_member(archive))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, KeyError) as error:
        raise InputError("not a readable wheel", where=where, found=str(error)) from error


def _record_member(archive: zipfile.ZipFile) -> bytes:
    for info in archive.infolist():
        directory, _, name = info.filename.rpartition("/")
        if name == "RECORD" and directory.endswith(".dist-info") and "/" not in directory:
            if info.file_size > _LARGEST_RECORD:
                raise ValueError(f"a RECORD of {info.file_size} bytes")
            return archive.read(info)
    raise ValueError("no RECORD")
