"""Inflating, by zlib-ng where it is installed: what zlib inflates, in half of the time.

Nothing is compressed by it: what is read is the same by either, what would be written is not.
"""

import importlib
import io
from typing import IO, Final, Protocol, cast

try:
    from zlib_ng import zlib_ng as _library
except ImportError:  # a machine for which nobody has built it
    import zlib as _library  # type: ignore[no-redef]

    _GZIP = "gzip"
else:
    _GZIP = "zlib_ng.gzip_ng"


class Decompress(Protocol):
    """A stream that is being inflated, as :mod:`zlib` has it."""

    @property
    def eof(self) -> bool:
        """Was the end of the stream read?"""
        ...

    @property
    def unconsumed_tail(self) -> bytes:
        """The data for which there was no room."""
        ...

    @property
    def unused_data(self) -> bytes:
        """The data after the end."""
        ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return what ``data`` adds, at most ``max_length`` bytes."""
        ...


crc32: Final = _library.crc32
decompressobj: Final = _library.decompressobj
InflateError: Final[type[Exception]] = _library.error  # type: ignore[assignment] # a class, whatever the stubs say


def gunzip(stream: io.RawIOBase) -> IO[bytes]:
    """Return the inflated bytes of all members of a gzip file.

    Reading them raises EOFError, InflateError and :class:`gzip.BadGzipFile` where they are damaged.
    """
    # Only who reads layers pays for the import.
    return cast("IO[bytes]", importlib.import_module(_GZIP).open(stream))
