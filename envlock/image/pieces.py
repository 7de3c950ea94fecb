"""Gzip by all cores, the same bytes whatever their number (RFC 1951, RFC 1952).

Rules kept here:

* The bytes are cut every 1 MiB. A piece is deflated with the 32 KiB before it as its dictionary and
  ends in a sync flush, the last one in the end of the stream: together they are one gzip member.
* The header has time 0 and no name. What comes out depends on the bytes, the level and zlib alone.
* Memory holds a few pieces for each core.
"""

import os
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from envlock.oci.deflate import MEMBER_HEADER, member_trailer

LEVEL: Final = 5
"""Of a base, level 6 makes 0.6 % less and takes half as long again (bench/NOTES.md)."""

PIECE: Final = 1 << 20
_WINDOW = 1 << 15
_AHEAD = 2


def compressed(data: Iterable[bytes], workers: int | None = None) -> Iterator[bytes]:
    """Yield ``data`` as one gzip member, by as many threads as this process has cores."""
    threads = workers or len(os.sched_getaffinity(0))
    waiting: deque[Future[bytes]] = deque()
    crc = size = 0
    before = b""
    yield MEMBER_HEADER
    with ThreadPoolExecutor(threads) as pool:
        for piece, last in _pieces(data):
            crc, size = zlib.crc32(piece, crc), size + len(piece)
            waiting.append(pool.submit(_deflated, piece, before, last=last))
            before = piece[-_WINDOW:]
            if len(waiting) > _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    yield member_trailer(crc, size)


def _pieces(data: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield (piece, is it the last), each but the last of exactly :data:`PIECE` bytes."""
    held = bytearray()
    for some in data:
        held += some
        # More than one piece, so that the last is known when it comes.
        while len(held) > PIECE:
            yield bytes(held[:PIECE]), False
            del held[:PIECE]
    yield bytes(held), True


def _deflated(piece: bytes, before: bytes, *, last: bool) -> bytes:
    state = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=before)
    return state.compress(piece) + state.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
