"""The RECORD in a wheel, read without an object for each member (APPNOTE 4.3.7, 4.3.12 and 4.3.16).

zipfile takes 5 µs a member to read the list of files, of which one is wanted; this takes 0.5 µs. It knows
what wheels are made of. The rest (zip64, comments, bytes before the archive, encryption, other methods
of compression) and all that is broken is left to zipfile.
"""

import io
import struct
import zipfile
import zlib
from typing import IO, NamedTuple

Stream = IO[bytes] | io.RawIOBase

_NAME = ".dist-info/RECORD"
_ENDING = _NAME.encode()
_LARGEST = 1 << 26
_DEFLATED = 8

_END = struct.Struct("<4s6xHLLH")
_LINE = struct.Struct("<4s4xHH4xLLLHHH8xL")
_LENGTHS = struct.Struct("<4s24xHHH12x")
_LOCAL = struct.Struct("<4s22xHH")


class _OtherError(Exception):
    """Nothing that this module reads."""


class _Line(NamedTuple):
    """A line of the list of files; lengths and sizes in bytes."""

    signature: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    name: int
    extra: int
    comment: int
    offset: int


def read(stream: Stream) -> bytes:
    """Return the RECORD of the wheel in ``stream``.

    Raises what zipfile does, and ValueError for a wheel without one, or with one that is absurdly large.
    """
    try:
        return _usual(stream)
    except (_OtherError, struct.error, zlib.error):
        with zipfile.ZipFile(stream) as archive:
            return _any(archive)


def _usual(stream: Stream) -> bytes:
    stream.seek(max(stream.seek(0, io.SEEK_END) - _END.size, 0))
    signature, count, size, start, comment = _END.unpack(_more(stream, _END.size))
    if signature != b"PK\5\6" or comment or size > _LARGEST:
        raise _OtherError
    stream.seek(start)
    line = _line(_more(stream, size), count)
    if line.flags & 1 or line.method not in (0, _DEFLATED) or max(line.size, line.packed) > _LARGEST:
        raise _OtherError
    stream.seek(line.offset)
    # In one piece: each may be a request.
    whole = _more(stream, _LOCAL.size + line.name + line.extra + line.packed)
    signature, name, extra = _LOCAL.unpack_from(whole)
    data = whole[_LOCAL.size + name + extra :][: line.packed]
    data += _more(stream, line.packed - len(data))
    if line.method == _DEFLATED:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, line.size + 1)
    if signature != b"PK\3\4" or len(data) != line.size or zlib.crc32(data) != line.crc:
        raise _OtherError
    return data


def _line(listed: bytes, count: int) -> _Line:
    """Return RECORD's line of the list of ``count`` files."""
    at = 0
    for _ in range(count):
        signature, name, extra, comment = _LENGTHS.unpack_from(listed, at)
        if signature != b"PK\1\2":
            raise _OtherError
        begin = at + _LINE.size
        end = begin + name
        # Decoding each name would take half of the time.
        if listed.endswith(_ENDING, begin, end) and _is_record(listed[begin:end].decode("utf-8", "replace")):
            return _Line(*_LINE.unpack_from(listed, at))
        at = end + extra + comment
    raise _OtherError


def _more(stream: Stream, length: int) -> bytes:
    """Return ``length`` bytes from where the stream is."""
    data = b""
    while len(data) < length:
        piece = stream.read(length - len(data))
        if not piece:
            raise _OtherError
        data += piece
    return data


def _any(archive: zipfile.ZipFile) -> bytes:
    for info in archive.infolist():
        if _is_record(info.filename):
            if info.file_size > _LARGEST:
                raise ValueError(f"a RECORD of {info.file_size} bytes")
            return archive.read(info)
    raise ValueError("no RECORD")


def _is_record(name: str) -> bool:
    return name.endswith(_NAME) and name.count("/") == 1
