"""What is written before a file without a search is what the search would have come to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envlock.oci import tar
from envlock.oci.deflate import header_member
from envlock.oci.heading import heading

MTIME = 315_619_200
names = st.text(alphabet="ab_/.-", min_size=1, max_size=100)
sizes = st.integers(min_value=0, max_value=0o77777777777)


def searched(padding: int, name: str, mode: int, size: int) -> tuple[bytes, bytes]:
    plain = bytes(padding) + tar.header(name, mode=mode, mtime=MTIME, size=size)
    return plain, header_member(plain)


@given(st.integers(min_value=0, max_value=511), names, st.sampled_from((0o644, 0o755)), sizes)
def test_it_is_the_padding_and_the_header(padding: int, name: str, mode: int, size: int) -> None:
    assert heading(padding, name, mode, size, MTIME) == searched(padding, name, mode, size)


@pytest.mark.parametrize("length", range(1, 101))
def test_names_of_every_length_end_in_the_same_bytes(length: int) -> None:
    for padding in (0, 1, 31, 32, 511):
        assert heading(padding, "n" * length, 0o644, 1, MTIME) == searched(padding, "n" * length, 0o644, 1)


@pytest.mark.parametrize(("name", "size"), [("n" * 101, 1), ("\u00e9", 1), ("n", 1 << 33)])
def test_what_one_field_does_not_hold_is_left_to_others(name: str, size: int) -> None:
    assert heading(0, name, 0o644, size, MTIME) is None
