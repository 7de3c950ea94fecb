"""Reading a layer's blob as a plain tar, whatever it is compressed with.

A gzip file may have any number of members (RFC 1952 section 2.2), and a spliced layer has two a
file. They are inflated one after the other from small pieces of input: ``gzip.decompress`` is
quadratic in their number, and so is every reader that copies a large rest at each member's end.
"""

from typing import IO, Final, Protocol

from envlock.core.inflating import InflateError, decompressobj
from envlock.runtime.errors import InputError

_INPUT: Final = 1 << 15
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


class Readable(Protocol):
    """Anything that gives bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""
        ...


class _Begun:
    """A stream of which the first bytes were already read."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._stream.read(size)


class _Gunzip:
    """The inflated bytes of every member in turn."""

    def __init__(self, stream: Readable, where: str) -> None:
        self._stream = stream
        self._where = where
        self._inflater = decompressobj(wbits=31)
        self._rest = b""
        self._within = False

    def read(self, size: int = -1, /) -> bytes:
        """Return between 1 and ``size`` bytes, none at the end. Raises InputError for corrupt data."""
        while self._more():
            if data := self._inflated(max(size, 0)):
                return data
        if self._within:
            raise self._corrupt("an end in the middle")
        return b""

    def _more(self) -> bool:
        """Say whether there is input, reading some where there is none left."""
        while not self._rest:
            piece = self._stream.read(_INPUT)
            if not piece:
                return False
            # gzip(1) reads padding after the last member, as tapes have it, as nothing.
            self._rest = piece if self._within else piece.lstrip(b"\0")
        return True

    def _inflated(self, size: int) -> bytes:
        self._within = True
        try:
            data = self._inflater.decompress(self._rest, size)
        except InflateError as error:
            raise self._corrupt(str(error)) from error
        self._rest = self._inflater.unconsumed_tail
        if self._inflater.eof:
            self._rest = self._inflater.unused_data.lstrip(b"\0")
            self._inflater = decompressobj(wbits=31)
            self._within = False
        return data

    def _corrupt(self, found: str) -> InputError:
        return InputError("corrupt layer", where=self._where, expected="gzip data", found=found)


def inflated(stream: IO[bytes], where: str) -> Readable:
    """Return the plain bytes of a blob, which is gzip or not compressed. Raises InputError for zstd."""
    head = stream.read(_INPUT)
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
