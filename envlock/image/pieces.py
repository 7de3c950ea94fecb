"""Gzip by all cores, the same bytes whatever their number (RFC 1951, RFC 1952).

Rules kept here:

* Bytes are cut every 1 MiB. A piece is deflated with the 32 KiB before it as its dictionary and ends in a
  sync flush, the last one in the end of the stream.
* The header has time 0 and no name. What comes out depends on the bytes, the level and zlib alone.
* Memory holds a few pieces for each core.
"""

import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from envlock.oci.deflate import MEMBER_HEADER, member_trailer

LEVEL: Final = 5
"""As of a base (:mod:`packing`)."""

PIECE: Final = 1 << 20
_WINDOW = 1 << 15
_AHEAD = 2


_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def compressed(data: Iterable[bytes], workers: int | None = None) -> Iterator[bytes]:
    """Yield ``data`` as one gzip member, by as many threads as this process has cores."""
    crc = size = 0
    yield MEMBER_HEADER
    for (piece, _, _), packed in ahead(_deflated, _with_dictionaries(data), workers):
        crc, size = zlib.crc32(piece, crc), size + len(piece)
        yield packed
    yield member_trailer(crc, size)


def ahead(
    work: Callable[[_Item], _Made], items: Iterable[_Item], workers: int | None = None
) -> Iterator[tuple[_Item, _Made]]:
    """Yield each item, in order, with what ``work`` makes of it: threads are a few items for each ahead."""
    threads = workers or len(os.sched_getaffinity(0))
    waiting: deque[tuple[_Item, Future[_Made]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > _AHEAD * threads:
                first, made = waiting.popleft()
                yield first, made.result()
        for last, made in waiting:
            yield last, made.result()


def _with_dictionaries(data: Iterable[bytes]) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield (piece, what comes before it, is it the last)."""
    before = b""
    for piece, last in _pieces(data):
        yield piece, before, last
        before = piece[-_WINDOW:]


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


def _deflated(item: tuple[bytes, bytes, bool]) -> bytes:
    piece, before, last = item
    state = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=before)
    return state.compress(piece) + state.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
