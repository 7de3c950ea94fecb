"""Gzip members made without a compressor, and deflate streams checked while they are read.

Rules kept here (RFC 1951, RFC 1952):

* A stored member holds its bytes in stored blocks of at most 65,535 bytes; a header member is one in
  which runs of zeros, which tar headers are full of, are blocks of the fixed Huffman code; a spliced
  member is a 10-byte header, somebody's raw deflate stream, CRC-32 and size modulo 2^32. None depends
  on a compressor's version. Members concatenate to one gzip file (RFC 1952 section 2.2).
* A deflate stream is believed only when inflating it ends exactly at its last byte with the size
  and CRC-32 that were declared. No more than the declared size is ever inflated.
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Final, NamedTuple

from envlock.core.inflating import Decompress, InflateError, crc32, decompressobj
from envlock.runtime.errors import InputError

MEMBER_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""No flags, mtime 0, operating system unknown (255)."""

END: Final = b"\1\0\0\xff\xff"
"""The last block, which is empty."""

_STORED = 65_535
_SHORTEST, _LONGEST = 3, 258
# A run takes up to 15 bytes, of which 5 are the next stored block's head. 32 to 4,096 zeros, of which the
# first are spelled out, so that they are searched for as a string.
SHORTEST_ZEROS: Final = 32
_ZEROS = re.compile(b"(" + rb"\0" * SHORTEST_ZEROS + rb"\0{0,4064})")
_TRAILER = struct.Struct("<II")
_PIECE = 1 << 18
# What is inflated from it stays in the processor's cache until it is hashed.
_COMPRESSED_PIECE = 1 << 17

ReadAt = Callable[[int, int], bytes]
"""``read(offset, length)`` returns that part of a file; less only past its end."""


class Deflated(NamedTuple):
    """A raw deflate stream: ``compressed_size`` bytes at ``offset`` of what ``read`` reads."""

    read: ReadAt
    offset: int
    compressed_size: int
    size: int
    crc: int
    origin: str
    """Where it comes from, for errors: ``numpy-2.4.6-….whl: numpy/version.py``."""


def stored_member(data: bytes) -> bytes:
    """Return a gzip member that holds ``data`` uncompressed."""
    return b"".join((MEMBER_HEADER, *_stored(data), END, member_trailer(crc32(data), len(data))))


def header_member(data: bytes) -> bytes:
    """Return a gzip member that holds ``data`` uncompressed but for its runs of zeros."""
    parts = [MEMBER_HEADER]
    for number, piece in enumerate(_ZEROS.split(data)):
        if number % 2:
            parts.append(zeros(len(piece)))
        elif 0 < len(piece) <= _STORED:  # nearly always: not worth a call
            parts += stored_head(len(piece)), piece
        else:
            parts += _stored(piece)
    parts += END, member_trailer(crc32(data), len(data))
    return b"".join(parts)


def _stored(data: bytes) -> list[bytes]:
    """Return blocks that are not the last (RFC 1951, 3.2.4), none for no data."""
    parts: list[bytes] = []
    for start in range(0, len(data), _STORED):
        block = data[start : start + _STORED]
        parts += (stored_head(len(block)), block)
    return parts


@cache
def stored_head(size: int) -> bytes:
    """Return what stands before ``size`` bytes in a stored block that is not the last (RFC 1951, 3.2.4)."""
    return struct.pack("<BHH", 0, size, size ^ 0xFFFF)


@cache
def zeros(count: int) -> bytes:
    """Return a block for ``count`` zeros (RFC 1951, 3.2.6), and an empty stored one that ends at a byte."""
    literal, distance, end_of_block = "00110000", "00000", "0000000"
    bits = ["010", literal]
    left = count - 1
    while left:
        # What is left after a repeat must be nothing or repeatable itself.
        length = min(left, _LONGEST if left - _LONGEST not in (1, 2) else _LONGEST - _SHORTEST)
        bits += _repeat(length), distance
        left -= length
    bits += end_of_block, "000"
    text = "".join(bits)
    return int(text[::-1], 2).to_bytes(-(-len(text) // 8), "little") + b"\0\0\xff\xff"


def _repeat(length: int) -> str:
    """Return the fixed code of a match of 3 to 258 bytes, first bit first, extra bits included."""
    if length == _LONGEST:
        return "11000101"
    steps = length - _SHORTEST
    extra = max(0, steps.bit_length() - 3)
    symbol = 1 + 4 * extra + (steps >> extra)  # above 256, the end of the block
    code = f"{symbol:07b}" if symbol < 24 else f"{0b11000000 + symbol - 24:08b}"  # noqa: PLR2004 # 280 - 256
    return code + f"{steps & (1 << extra) - 1:0{extra}b}"[::-1] * (extra > 0)


def member_trailer(crc: int, size: int) -> bytes:
    """Return CRC-32 and ISIZE, which is the size modulo 2^32."""
    return _TRAILER.pack(crc, size & 0xFFFFFFFF)


def inflate(stream: Deflated) -> Iterator[bytes]:
    """Yield the inflated bytes of ``stream``. Raises as :func:`spliced`."""
    return (plain for _, plain in spliced(stream))


def spliced(stream: Deflated) -> Iterable[tuple[bytes, bytes]]:
    """Return pairs (compressed, plain): the next bytes of the stream, and some of what comes of all so far.

    Together they are the stream and its inflated bytes. Of the latter, each time 256 KiB at most.

    Raises InputError, in the end, when the stream does not end exactly at its last byte, or has another size
    or CRC-32 than declared.
    """
    if stream.compressed_size <= _COMPRESSED_PIECE and stream.size <= _PIECE:
        whole = _at_once(stream)
        if whole is not None:
            return (whole,)
    return _by_pieces(stream)


def _at_once(stream: Deflated) -> tuple[bytes, bytes] | None:
    """Return the whole of a small stream, as nearly all are; None where anything is wrong with it."""
    read, offset, compressed_size, size, crc, _ = stream
    compressed = read(offset, compressed_size)
    inflater = decompressobj(wbits=-15)
    try:
        plain = inflater.decompress(compressed, size + 1)
    except InflateError:
        return None
    ends = inflater.eof and not inflater.unused_data and len(compressed) == compressed_size
    return (compressed, plain) if ends and len(plain) == size and crc32(plain) == crc else None


def _by_pieces(stream: Deflated) -> Iterator[tuple[bytes, bytes]]:
    inflater = decompressobj(wbits=-15)
    crc = size = 0
    for piece in pieces(stream.read, stream.offset, stream.compressed_size, stream.origin):
        compressed = rest = piece
        more = True
        while more:
            plain = _inflated(inflater, rest, stream)
            size += len(plain)
            if size > stream.size:
                raise _bad(stream, f"{stream.size} bytes", "more")
            crc = crc32(plain, crc)
            yield compressed, plain
            compressed, rest = b"", inflater.unconsumed_tail
            # When all that there was room for has come, more may follow without any rest.
            more = not inflater.eof and bool(rest or len(plain) == _PIECE)
        if inflater.unused_data:
            raise _bad(stream, "the deflate stream's end at its last byte", "more bytes after it")
    if not inflater.eof:
        raise _bad(stream, "a complete deflate stream", "an end in the middle")
    _check(stream, size, crc)


def pieces(read: ReadAt, offset: int, size: int, where: str) -> Iterator[bytes]:
    """Yield that part of a file. Raises InputError, which names it ``where``, when there is less of it."""
    for start in range(0, size, _COMPRESSED_PIECE):
        length = min(_COMPRESSED_PIECE, size - start)
        piece = read(offset + start, length)
        if len(piece) != length:
            raise InputError("a file changed while it was read", where=where)
        yield piece


def _inflated(inflater: Decompress, data: bytes, stream: Deflated) -> bytes:
    try:
        return inflater.decompress(data, _PIECE)
    except InflateError as error:
        raise _bad(stream, "a deflate stream", str(error)) from error


def _check(stream: Deflated, size: int, crc: int) -> None:
    if size != stream.size:
        raise _bad(stream, f"{stream.size} bytes", f"{size} bytes")
    if crc != stream.crc:
        raise _bad(stream, f"CRC-32 {stream.crc:08x}", f"{crc:08x}")


def _bad(stream: Deflated, expected: str, found: str) -> InputError:
    return InputError("corrupt compressed data", where=stream.origin, expected=expected, found=found)
