import os
import platform
import sys
from pathlib import Path

import pytest

from envlock.image.relocate import Move, alias, relocate, remains

MOVE = Move(old="/home/ann/.pyenv/versions/3.11.7", new="/opt/python")


def test_text_is_rewritten_and_the_rest_of_the_home_is_masked() -> None:
    text = (
        b"#!/home/ann/.pyenv/versions/3.11.7/bin/python\nA='/home/ann/src' B='/home/annette' C='/home/ann'\n"
    )
    moved = relocate(text, MOVE)
    assert moved == b"#!/opt/python/bin/python\nA='/nonexistent/src' B='/home/annette' C='/nonexistent'\n"
    assert not remains(moved, MOVE)


def test_longer_names_with_the_same_start_are_left_alone() -> None:
    assert relocate(
        b"/srv/python/versions/3.11.70", Move(old="/srv/python/versions/3.11.7", new="/opt/python")
    ) == (b"/srv/python/versions/3.11.70")


def test_binary_keeps_its_length_and_every_other_byte_its_place() -> None:
    data = b"\x7fELF\0/home/ann/.pyenv/versions/3.11.7/lib\0next\0"
    moved = relocate(data, MOVE)
    assert len(moved) == len(data)
    assert moved.index(b"/lib\0next") == data.index(b"/lib\0next")
    path = moved[5 : moved.index(b"\0", 5)].decode()
    assert os.path.normpath(path) == "/opt/python/lib"
    assert not remains(moved, MOVE)


def test_string_that_ends_with_the_prefix_keeps_its_tail() -> None:
    """Linkers share tails: CPython's version text is the end of its compiled-in prefix."""
    data = b"\0/home/ann/.pyenv/versions/3.11.7\0"
    moved = relocate(data, MOVE)
    assert moved[-7:] == b"3.11.7\0"
    assert os.path.normpath(moved.strip(b"\0").decode()) == "/opt/python/3.11.7"
    assert alias(MOVE) == ("/opt/python/3.11.7", ".")


def test_prefix_too_short_for_its_tail_is_padded_and_has_no_alias() -> None:
    move = Move(old="/srv/python3.11", new="/opt/python")
    assert relocate(b"\0/srv/python3.11\0", move) == b"\0/opt/python////\0"
    assert alias(move) is None


def test_prefix_shorter_than_the_new_one_stays_in_binaries_and_remains() -> None:
    move = Move(old="/home/a/p", new="/opt/python")
    data = b"\0/home/a/p/lib\0"
    assert relocate(data, move) == data
    assert remains(data, move)
    assert relocate(b"/home/a/p/lib", move) == b"/opt/python/lib"


def test_other_home_paths_in_a_binary_remain() -> None:
    assert remains(relocate(b"\0/home/ann/build/x.c\0", MOVE), MOVE)


def test_nothing_moves_to_where_it_is() -> None:
    move = Move(old="/usr/local", new="/usr/local")
    assert relocate(b"/usr/local", move) == b"/usr/local"
    assert not remains(b"/usr/local", move)
    assert alias(move) is None


@pytest.mark.parametrize(
    ("text", "found"), [(b"see /root element", False), (b"/root/x", True), (b"/rooted/x", False)]
)
def test_root_alone_is_a_word_and_below_it_is_a_home(text: bytes, found: bool) -> None:  # noqa: FBT001 (a table)
    assert remains(text, Move(old="/root/py", new="/opt/python")) is found


def test_real_library_still_tells_its_version_after_the_move(tmp_path: Path) -> None:
    """The library of this interpreter, moved in memory: its version text must survive."""
    prefix = os.path.realpath(sys.base_prefix)
    libraries = sorted(Path(prefix, "lib").glob("libpython3.*.so.1.0"))
    if not libraries or len(prefix) < len("/opt/python"):
        pytest.skip("this interpreter has no shared library under a prefix that can move")
    data = libraries[0].read_bytes()
    moved = relocate(data, Move(old=prefix, new="/opt/python"))
    assert len(moved) == len(data)
    assert moved.count(platform.python_version().encode() + b"\0") == data.count(
        platform.python_version().encode() + b"\0"
    )
