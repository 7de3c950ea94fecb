import gzip
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envlock.oci.deflate import Deflated, header_member, inflate, stored_member
from envlock.runtime.errors import InputError

TEXT = b"the quick brown fox " * 5000


def raw(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def stream(body: bytes, *, size: int, crc: int, piece: int = 1000) -> Deflated:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), piece):
            yield body[start : start + piece]

    return Deflated(pieces=pieces, compressed_size=len(body), size=size, crc=crc, origin="x.whl: a")


def read(of: Deflated) -> bytes:
    return b"".join(inflate(of))


@given(st.binary(min_size=1, max_size=200_000))
def test_a_stored_member_is_a_gzip_file_of_its_bytes(data: bytes) -> None:
    member = stored_member(data)
    assert gzip.decompress(member) == data
    assert member[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


runs = st.one_of(st.binary(max_size=100), st.integers(min_value=1, max_value=9000).map(bytes))


@given(st.lists(runs, max_size=6).map(b"".join))
def test_a_header_member_is_a_gzip_file_of_its_bytes(data: bytes) -> None:
    assert gzip.decompress(header_member(data)) == data


def test_runs_of_zeros_of_every_length_are_shortened() -> None:
    for length in (*range(32, 700), 4095, 4096, 4097):
        member = header_member(b"a" + bytes(length) + b"b")
        assert gzip.decompress(member) == b"a" + bytes(length) + b"b"
        assert len(member) < 100


@pytest.mark.parametrize("size", [65_535, 65_536, 131_070, 131_071])
def test_stored_blocks_hold_at_most_65535_bytes(size: int) -> None:
    member = stored_member(bytes(size))
    assert gzip.decompress(member) == bytes(size)
    assert len(member) == size + 18 + 5 * (-(-size // 65_535) + 1)


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_a_true_stream_inflates_however_it_is_cut(piece: int) -> None:
    assert read(stream(raw(TEXT), size=len(TEXT), crc=zlib.crc32(TEXT), piece=piece)) == TEXT


@pytest.mark.parametrize("more", [0, 100, 258, 259])
def test_what_a_last_repeat_adds_beyond_a_whole_piece_is_not_lost(more: int) -> None:
    """The inflater has then taken all of its input, and has no room for all that it says."""
    data = bytes((1 << 18) + more)
    assert read(stream(raw(data), size=len(data), crc=zlib.crc32(data), piece=1 << 20)) == data


@pytest.mark.parametrize(
    ("body", "size", "crc", "message"),
    [
        (raw(TEXT) + b"x", len(TEXT), zlib.crc32(TEXT), "more bytes after it"),
        (raw(TEXT) + bytes(2000), len(TEXT), zlib.crc32(TEXT), "more bytes after it"),
        (raw(TEXT)[:-4], len(TEXT), zlib.crc32(TEXT), "an end in the middle"),
        (b"", 0, 0, "an end in the middle"),
        (raw(TEXT), len(TEXT) + 1, zlib.crc32(TEXT), f"found {len(TEXT)} bytes"),
        (raw(TEXT), len(TEXT) - 1, zlib.crc32(TEXT), "found more"),
        (raw(TEXT), len(TEXT), 7, "CRC-32 00000007"),
        (b"\xff" * 50, 10, 0, "a deflate stream"),
    ],
)
def test_a_stream_that_is_not_what_it_declares_is_refused(
    body: bytes, size: int, crc: int, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(stream(body, size=size, crc=crc))
    assert "x.whl: a" in str(caught.value)


def test_bytes_after_the_end_in_a_later_piece_are_refused() -> None:
    body = raw(TEXT)
    late = Deflated(
        pieces=lambda: iter([body, b"late"]),
        compressed_size=len(body) + 4,
        size=len(TEXT),
        crc=zlib.crc32(TEXT),
        origin="o",
    )
    with pytest.raises(InputError, match="more bytes after it"):
        read(late)
