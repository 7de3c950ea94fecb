"""Reading a layer's blob as a plain tar, whatever it is compressed with.

A gzip file may have any number of members (RFC 1952 section 2.2), and a spliced layer has two a
file: what inflates must not copy what follows at each member's end, as ``gzip.decompress`` does.
"""

import io
from gzip import BadGzipFile
from typing import IO, Final, Protocol

from envlock.core.inflating import InflateError, gunzip
from envlock.runtime.errors import InputError

_HEAD: Final = 4
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


class Readable(Protocol):
    """Anything that gives bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""
        ...


class _Begun(io.RawIOBase):
    """A stream of which the first bytes were already read."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # any buffer, in the stubs
        size = len(buffer)
        data, self._head = self._head[:size], self._head[size:]
        data = data or self._stream.read(size)
        buffer[: len(data)] = data
        return len(data)


class _Gunzip:
    """The inflated bytes of every member in turn."""

    def __init__(self, stream: io.RawIOBase, where: str) -> None:
        self._plain = gunzip(stream)
        self._where = where

    def read(self, size: int = -1, /) -> bytes:
        """Return ``size`` bytes, fewer only at the end. Raises InputError for corrupt data."""
        try:
            return self._plain.read(size)
        except EOFError:
            found = "an end in the middle"
        except (InflateError, BadGzipFile) as error:
            found = str(error)
        raise InputError("corrupt layer", where=self._where, expected="gzip data", found=found)


def inflated(stream: IO[bytes], where: str) -> Readable:
    """Return the plain bytes of a blob, which is gzip or not compressed. Raises InputError for zstd."""
    head = stream.read(_HEAD)
    begun = _Begun(head, stream)
    if head.startswith(_GZIP_MAGIC):
        return _Gunzip(begun, where)
    if head.startswith(_ZSTD_MAGIC):
        raise InputError(
            "cannot read a layer",
            where=where,
            expected="gzip or no compression",
            found="zstd",
            hint="copy the image with gzip layers, for example with skopeo copy --dest-compress-format gzip",
        )
    return begun
