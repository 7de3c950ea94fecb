import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envlock.oci.path import ImagePath
from envlock.runtime.errors import InputError


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "opt/env",
        "/opt//env",
        "/opt/env/",
        "/opt/./env",
        "/opt/../etc",
        "/..",
        "/.",
        "/opt/\n",
        "/\ud800",
        "/a\0b",
        "/opt/.wh.env",
        "/opt/.wh..wh..opq",
        "/.wh.opt/env",
        "/" + "a" * 256,
        "/" + "é" * 128,
        "/a" * 1921,
    ],
)
def test_what_is_not_absolute_and_normalised_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a path inside an image"):
        ImagePath(text)


@pytest.mark.parametrize(
    "text",
    [
        "/opt/env",
        "/...",
        "/.hidden",
        "/a..b",
        "/a\\b",
        "/données",
        "/a b",
        "/.wh",
        "/a.wh.b",
        "/" + "a" * 255,
        "/a" * 1920,
    ],
)
def test_ordinary_names_are_accepted(text: str) -> None:
    assert str(ImagePath(text)) == text


@given(st.text(alphabet="ab./", max_size=12))
def test_an_accepted_path_is_what_normalising_gives(text: str) -> None:
    """Rule: normalised, no empty, '.' or '..' part."""
    normal = text.startswith("/") and not text.startswith("//") and posixpath.normpath(text) == text
    try:
        ImagePath(text)
    except InputError:
        assert not normal or text == "/" or ".." in text.split("/")
    else:
        assert normal


def test_parents_are_listed_outermost_first_without_the_root() -> None:
    assert [str(one) for one in ImagePath("/opt/env/bin/pip").parents()] == [
        "/opt",
        "/opt/env",
        "/opt/env/bin",
    ]


def test_a_path_knows_its_name_its_tar_name_and_what_it_lies_in() -> None:
    path = ImagePath("/opt") / "env/bin"
    assert (path.name, path.relative) == ("bin", "opt/env/bin")
    assert path.within(ImagePath("/opt/env"))
    assert path.within(path)
    assert not path.within(ImagePath("/opt/en"))
