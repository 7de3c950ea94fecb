"""Which inflater is taken must not matter to what comes out."""

import importlib.util
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envlock.core import inflating


def test_without_zlib_ng_it_is_zlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zlib_ng", None)
    spec = importlib.util.find_spec("envlock.core.inflating")
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    assert again.decompressobj is zlib.decompressobj
    assert again.InflateError is zlib.error


def outcome(data: bytes, inflater: inflating.Decompress, error: type[Exception]) -> object:
    try:
        plain = inflater.decompress(data, 1 << 20)
    except error:
        return "refused"
    return (plain, inflater.unused_data) if inflater.eof else "refused"


def deflated(data: bytes, level: int) -> bytes:
    compressor = zlib.compressobj(level, wbits=-15)
    return compressor.compress(data) + compressor.flush()


@given(
    st.binary(max_size=3000),
    st.integers(0, 9),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 255)), max_size=3),
)
def test_what_zlib_refuses_or_leaves_over_every_inflater_does(
    data: bytes, level: int, damage: list[tuple[int, int]]
) -> None:
    body = bytearray(deflated(data, level))
    for place, bits in damage:
        body[place % len(body)] ^= bits
    ours = outcome(bytes(body), inflating.decompressobj(wbits=-15), inflating.InflateError)
    assert ours == outcome(bytes(body), zlib.decompressobj(wbits=-15), zlib.error)
