import gzip
import random
import zlib
from collections.abc import Iterator

import pytest

from envlock.image.pieces import PIECE, compressed

_WORDS = [b"numpy", b"scipy", b"torch", b"\0" * 40, b"dist-info"]


def _text(size: int) -> bytes:
    chosen = random.Random(1)
    return b"".join(chosen.choice(_WORDS) for _ in range(size // 4))[:size]


def _in_parts(data: bytes, size: int) -> Iterator[bytes]:
    yield from (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 5 * PIECE + 17])
def test_one_gzip_member_that_any_reader_reads(size: int) -> None:
    data = _text(size)
    packed = b"".join(compressed(_in_parts(data, 7919)))
    assert gzip.decompress(packed) == data
    # As zlib reads one member: nothing is left over.
    reader = zlib.decompressobj(31)
    assert reader.decompress(packed) == data
    assert reader.eof
    assert reader.unused_data == b""


def test_same_bytes_whatever_the_number_of_cores_and_the_parts_that_it_came_in() -> None:
    data = _text(4 * PIECE + 5)
    answers = {
        b"".join(compressed(_in_parts(data, size), workers))
        for workers, size in [(1, 100_003), (2, 512), (7, 2 * PIECE), (3, len(data))]
    }
    assert len(answers) == 1


def test_pieces_know_what_came_before() -> None:
    """Without the window, each piece of a repeated text would begin from nothing."""
    data = _text(1 << 15) * 96
    alone = sum(len(zlib.compress(data[at : at + PIECE], 5)) for at in range(0, len(data), PIECE))
    assert len(b"".join(compressed([data]))) < alone


def test_memory_holds_pieces_and_never_all() -> None:
    """The source is asked for no more than the threads can use."""
    taken = 0

    def source() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield bytes(PIECE)

    packed = compressed(source(), 2)
    next(packed)
    next(packed)
    assert taken < 12
    assert sum(1 for _ in packed) > 90
