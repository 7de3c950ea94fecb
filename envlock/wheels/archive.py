"""Writing a deterministic zip archive, deflated by all cores (APPNOTE 6.3, RFC 1951).

Rules kept here:

* The bytes depend on the members' names, contents and modes, and on what compresses, on nothing else: one
  time (1980-01-01), one system (Unix), level 6, members in the order given.
* A member is deflated in pieces of 1 MiB, each with the 32 KiB before it as its dictionary; every
  piece but the last ends in a sync flush, so that the pieces together are one deflate stream.
* zip64 fields stand only where a member or the archive needs them.
* Memory holds a few pieces, never a member.
"""

import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import IO

PIECE = 1 << 20
_WINDOW = 1 << 15
_SMALL = 1 << 12
LEVEL = 6
_DATE = 0x0021  # 1980-01-01, the earliest that MS-DOS time can say
_UTF8 = 0x0800
_DEFLATED = 8
_MAX32 = 0xFFFFFFFF
_MAX16 = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file to be packed: from disk, or ``content`` where it is not what lies there."""

    name: str
    executable: bool
    path: str | None = None
    content: bytes = b""
    sha256: str | None = None
    """In RECORD's form, where it is known; None: to be computed."""

    @property
    def size(self) -> int:
        """Bytes before compression."""
        return len(self.content) if self.path is None else os.stat(self.path).st_size

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Yield the member's bytes as a stream."""
        with BytesIO(self.content) if self.path is None else open(self.path, "rb") as stream:
            yield stream


@dataclass(frozen=True, slots=True)
class _Piece:
    member: Member
    data: bytes
    before: bytes
    first: bool
    last: bool


Seen = Callable[[Member, bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressor:
    """What makes parts of raw deflate streams, for any number of threads. Two of one name make the same."""

    name: str
    deflate: Callable[[bytes, bytes, bool], bytes]
    """Of a piece, the 32 KiB before it, and whether it is the stream's last."""


def _deflated(data: bytes, before: bytes, last: bool) -> bytes:  # noqa: FBT001  # Compressor's signature
    state = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=before)
    return state.compress(data) + state.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


OWN = Compressor(name=f"zlib {zlib.ZLIB_RUNTIME_VERSION} {LEVEL}", deflate=_deflated)
"""The zlib of the Python that runs envlock, where no other is at hand."""


def write(members: Iterable[Member], stream: IO[bytes], seen: Seen, compressor: Compressor = OWN) -> None:
    """Write the archive to ``stream``, which must be seekable and empty.

    ``seen`` is told of each piece of a member's bytes, in order, as it is read.
    """

    def deflate(piece: _Piece) -> bytes:
        return compressor.deflate(piece.data, piece.before, piece.last)

    writer = _Writer(stream)
    workers = os.cpu_count() or 1
    waiting: deque[tuple[_Piece, Future[bytes] | bytes]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for piece in _pieces(members):
            # Handing a piece to a thread costs as much as deflating a small one here.
            small = len(piece.data) <= _SMALL
            waiting.append((piece, deflate(piece) if small else pool.submit(deflate, piece)))
            seen(piece.member, piece.data)
            if len(waiting) > 4 * workers:
                writer.take(*_next(waiting))
        while waiting:
            writer.take(*_next(waiting))
    writer.finish()


def _next(waiting: "deque[tuple[_Piece, Future[bytes] | bytes]]") -> tuple[_Piece, bytes]:
    piece, packed = waiting.popleft()
    return piece, packed if isinstance(packed, bytes) else packed.result()


def _pieces(members: Iterable[Member]) -> Iterator[_Piece]:
    for member in members:
        with member.open() as stream:
            data, before, first = stream.read(PIECE), b"", True
            while True:
                following = stream.read(PIECE) if len(data) == PIECE else b""
                yield _Piece(member, data, before, first, not following)
                if not following:
                    break
                data, before, first = following, data[-_WINDOW:], False


@dataclass(slots=True)
class _Entry:
    """A line of the central directory in the making."""

    name: bytes
    flags: int
    mode: int
    offset: int
    zip64: bool
    crc: int = 0
    packed: int = 0
    size: int = 0

    def local_header(self) -> bytes:
        """Return the header before the data (APPNOTE 4.3.7)."""
        packed, size, extra = self.packed, self.size, b""
        if self.zip64:
            extra = struct.pack("<HHQQ", 1, 16, size, packed)
            packed = size = _MAX32
        head = struct.pack(
            "<4sHHHHHIIIHH",
            b"PK\x03\x04",
            self._version(self.zip64),
            self.flags,
            _DEFLATED,
            0,
            _DATE,
            self.crc,
            packed,
            size,
            len(self.name),
            len(extra),
        )
        return head + self.name + extra

    def central_header(self) -> bytes:
        """Return the line of the central directory (APPNOTE 4.3.12)."""
        numbers = [self.size, self.packed, self.offset]
        large = [n for n in numbers if n >= _MAX32]
        extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        size, packed, offset = (min(n, _MAX32) for n in numbers)
        head = struct.pack(
            "<4sHHHHHHIIIHHHHHII",
            b"PK\x01\x02",
            3 << 8 | self._version(bool(large)),
            self._version(bool(large)),
            self.flags,
            _DEFLATED,
            0,
            _DATE,
            self.crc,
            packed,
            size,
            len(self.name),
            len(extra),
            0,
            0,
            0,
            self.mode << 16,
            offset,
        )
        return head + self.name + extra

    @staticmethod
    def _version(zip64: bool) -> int:  # noqa: FBT001  # the one question that decides it
        return 45 if zip64 else 20


class _Writer:
    """Puts pieces behind one another and goes back to fill in the header of a member in many."""

    _entry: _Entry

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        # As it will be written: of a million members an object each would take four times as much.
        self._directory = bytearray()
        self._count = 0

    def take(self, piece: _Piece, packed: bytes) -> None:
        if piece.first:
            self._entry = self._begin(piece)
        entry = self._entry
        entry.crc = zlib.crc32(piece.data, entry.crc)
        entry.packed += len(packed)
        entry.size += len(piece.data)
        if piece.first:
            self._stream.write(entry.local_header())
        self._stream.write(packed)
        if piece.last:
            self._end(entry, whole=piece.first)

    def _begin(self, piece: _Piece) -> _Entry:
        member = piece.member
        name = member.name.encode()
        return _Entry(
            name=name,
            flags=0 if name.isascii() else _UTF8,
            mode=0o100755 if member.executable else 0o100644,
            offset=self._stream.tell(),
            # Deflate adds at most some bytes a piece; what is near the limit gets the wide fields.
            zip64=not piece.last and member.size >= _MAX32 - (_MAX32 >> 8),
        )

    def _end(self, entry: _Entry, *, whole: bool) -> None:
        """Write the header anew, unless it was written when all was known: most members are one piece."""
        if not whole:
            self._stream.seek(entry.offset)
            self._stream.write(entry.local_header())
            self._stream.seek(0, os.SEEK_END)
        self._directory += entry.central_header()
        self._count += 1

    def finish(self) -> None:
        """Write the central directory and its end records (APPNOTE 4.3.14 to 4.3.16)."""
        start = self._stream.tell()
        self._stream.write(self._directory)
        size, count = len(self._directory), self._count
        if count >= _MAX16 or start >= _MAX32 or size >= _MAX32:
            self._write_zip64_end(start, size, count)
        shown = min(count, _MAX16)
        self._stream.write(
            struct.pack(
                "<4sHHHHIIH", b"PK\x05\x06", 0, 0, shown, shown, min(size, _MAX32), min(start, _MAX32), 0
            )
        )

    def _write_zip64_end(self, start: int, size: int, count: int) -> None:
        end = self._stream.tell()
        self._stream.write(
            struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 3 << 8 | 45, 45, 0, 0, count, count, size, start)
        )
        self._stream.write(struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1))
