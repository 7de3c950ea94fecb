import pytest

from envlock.wheels.home_names import HomeNames

HOMES = ("/home/ann", "/root")


def names(data: bytes, size: int) -> bool:
    """Whether a file names a home, read in pieces of ``size`` bytes."""
    found = HomeNames(HOMES)
    for at in range(0, len(data), size):
        found.take("file", data[at : at + size])
    return found.files() == ("file",)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 1000])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"/home/ann/data", True),
        (b"path = '/home/ann'", True),
        (b"\0\x7fELF\0/home/ann/src/a.c\0", True),
        (b"file:///home/ann/x", True),
        (b"cc -I/root/include", True),
        (b"x:/root", True),
        (b"/home/anna/x", False),
        (b"/home/ann-lee/x", False),
        (b"/mnt/home/ann/x", False),
        (b"/usr/sys/root/lib", False),
        (b"/home/an", False),
        (b"'block?/root', 'main/root'", False),
        (b"${TOP}/root/x [a-z]/root (x)/root", False),
        (b"<root>1</root>", False),
        (b"", False),
    ],
)
def test_a_home_is_named_where_a_path_begins_with_it(data: bytes, size: int, *, expected: bool) -> None:
    assert names(data, size) is expected


def test_files_are_told_apart_and_without_homes_none_is_searched() -> None:
    found, nothing = HomeNames(HOMES), HomeNames(())
    for file, data in (
        ("b", b"/root/x"),
        ("a", b"/home"),
        ("a", b"/ann"),
        ("c", b"/home"),
        ("d", b"/ann/"),
        ("e", b"/home/ann"),
    ):
        found.take(file, data)
        nothing.take(file, data)
    assert (found.files(), nothing.files()) == (("a", "b", "e"), ())
