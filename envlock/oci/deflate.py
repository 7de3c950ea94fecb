"""Gzip members made without a compressor, and deflate streams checked while they are read.

Rules kept here (RFC 1951, RFC 1952):

* A stored member holds its bytes in stored blocks of at most 65,535 bytes; a spliced member is a
  10-byte header, somebody's raw deflate stream, CRC-32 and size modulo 2^32. Neither depends on a
  compressor's version. Members concatenate to one gzip file (RFC 1952 section 2.2).
* A deflate stream is believed only when inflating it ends exactly at its last byte with the size
  and CRC-32 that were declared. No more than the declared size is ever inflated.
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from envlock.runtime.errors import InputError

MEMBER_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""No flags, mtime 0, operating system unknown (255)."""

_STORED = 65_535
_PIECE = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Deflated:
    """A raw deflate stream: ``pieces`` yields its ``compressed_size`` bytes each time it is called."""

    pieces: Callable[[], Iterator[bytes]]
    compressed_size: int
    size: int
    crc: int
    origin: str
    """Where it comes from, for errors: ``numpy-2.4.6-….whl: numpy/version.py``."""


def stored_member(data: bytes) -> bytes:
    """Return a gzip member that holds ``data`` (at least 1 byte) uncompressed."""
    parts = [MEMBER_HEADER]
    for start in range(0, len(data), _STORED):
        block = data[start : start + _STORED]
        final = start + _STORED >= len(data)
        parts.append(struct.pack("<BHH", final, len(block), len(block) ^ 0xFFFF))
        parts.append(block)
    parts.append(member_trailer(zlib.crc32(data), len(data)))
    return b"".join(parts)


def member_trailer(crc: int, size: int) -> bytes:
    """Return CRC-32 and ISIZE, which is the size modulo 2^32."""
    return struct.pack("<II", crc, size & 0xFFFFFFFF)


def inflate(pieces: Iterable[bytes], stream: Deflated) -> Iterator[bytes]:
    """Yield the inflated bytes of ``pieces``, which carry ``stream``, 256 KiB at most at a time.

    Raises InputError when the stream does not end exactly at its last byte, or has another size or
    CRC-32 than declared.
    """
    inflater = zlib.decompressobj(wbits=-15)
    crc = size = 0
    for data in _inflated(inflater, pieces, stream):
        size += len(data)
        if size > stream.size:
            raise _bad(stream, f"{stream.size} bytes", "more")
        crc = zlib.crc32(data, crc)
        yield data
    if not inflater.eof:
        raise _bad(stream, "a complete deflate stream", "an end in the middle")
    if size != stream.size:
        raise _bad(stream, f"{stream.size} bytes", f"{size} bytes")
    if crc != stream.crc:
        raise _bad(stream, f"CRC-32 {stream.crc:08x}", f"{crc:08x}")


def _inflated(inflater: "zlib._Decompress", pieces: Iterable[bytes], stream: Deflated) -> Iterator[bytes]:
    for piece in pieces:
        rest = piece
        while rest and not inflater.eof:
            try:
                data = inflater.decompress(rest, _PIECE)
            except zlib.error as error:
                raise _bad(stream, "a deflate stream", str(error)) from error
            rest = inflater.unconsumed_tail
            yield data
        # Bytes after the end: left over in this piece, or a whole piece that came too late.
        if rest or inflater.unused_data:
            raise _bad(stream, "the deflate stream's end at its last byte", "more bytes after it")


def _bad(stream: Deflated, expected: str, found: str) -> InputError:
    return InputError("corrupt compressed data", where=stream.origin, expected=expected, found=found)
