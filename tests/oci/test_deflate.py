import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envlock.oci import deflate
from envlock.oci.deflate import Deflated, header_member, inflate, stored_member
from envlock.runtime.errors import InputError

TEXT = b"the quick brown fox " * 5000


def raw(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def stream(body: bytes, *, size: int, crc: int) -> Deflated:
    """Return ``body`` as it stands in a file, behind other bytes and before others."""
    file = b"before" + body + b"behind"
    return Deflated(
        read=lambda offset, length: file[offset : offset + length],
        offset=len(b"before"),
        compressed_size=len(body),
        size=size,
        crc=crc,
        origin="x.whl: a",
    )


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


@pytest.fixture(params=[1, 7, 1 << 20])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many compressed bytes are read at once; the last is more than all."""
    size: int = request.param
    monkeypatch.setattr(deflate, "_COMPRESSED_PIECE", size)
    return size


@pytest.mark.usefixtures("piece")
def test_a_true_stream_inflates_however_it_is_cut() -> None:
    assert read(stream(raw(TEXT), size=len(TEXT), crc=zlib.crc32(TEXT))) == TEXT


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize("size", [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1])
def test_streams_of_any_size_come_out_whole(size: int) -> None:
    data = (TEXT * 3)[:size]
    assert read(stream(raw(data), size=size, crc=zlib.crc32(data))) == data


@pytest.mark.parametrize("more", [0, 100, 258, 259])
def test_what_a_last_repeat_adds_beyond_a_whole_piece_is_not_lost(more: int) -> None:
    """The inflater has then taken all of its input, and has no room for all that it says."""
    data = bytes((1 << 18) + more)
    assert read(stream(raw(data), size=len(data), crc=zlib.crc32(data))) == data


@pytest.mark.usefixtures("piece")
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


def test_bytes_after_the_end_in_a_later_piece_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    body = raw(TEXT)
    monkeypatch.setattr(deflate, "_COMPRESSED_PIECE", len(body))
    late = stream(body + b"late", size=len(TEXT), crc=zlib.crc32(TEXT))
    with pytest.raises(InputError, match="more bytes after it"):
        read(late)


@pytest.mark.usefixtures("piece")
def test_a_file_that_is_cut_while_it_is_read_is_told() -> None:
    body = raw(TEXT)
    file = b"before" + body[:-8]
    cut = stream(body, size=len(TEXT), crc=zlib.crc32(TEXT))._replace(
        read=lambda offset, length: file[offset : offset + length]
    )
    with pytest.raises(InputError, match="changed while it was read"):
        read(cut)
