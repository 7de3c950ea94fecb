import pytest

from envlock.core.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe ≤ 3", "größe ≤ 3"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\r\nenvlock: b\tc", r"a\r\nenvlock: b\tc"),
        ("a\u202eb\x9bc\ud800", r"a\u202eb\x9bc\ud800"),
        ("", ""),
    ],
)
def test_what_would_not_show_itself_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
