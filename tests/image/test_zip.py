"""A corpus of archives, each right but for one thing."""

import struct
import zlib

import pytest

from envlock.image.zip_archive import Member, read_members
from envlock.runtime.errors import InputError
from tests.image.wheels import Item, end, end_64, make_zip, zip_parts


def read(data: bytes) -> tuple[Member, ...]:
    return read_members(lambda offset, length: data[offset : offset + length], len(data), "w.whl")


def with_end(items: list[Item], tail: bytes) -> bytes:
    members, directory = zip_parts(items)
    return members + directory + tail


ONE = [Item(name="a.py", data=b"x = 1\n")]
MEMBERS, DIRECTORY = zip_parts(ONE)
BIG_SIZE = struct.pack("<HHQ", 1, 8, 5)


def test_a_right_archive_is_read() -> None:
    items = [
        Item(name="d/", mode=0o042755, method=0),
        Item(name="d/a.py", data=b"x", mode=0o100755),
        Item(name="stored", data=b"yy", method=0),
        Item(name="é", data=b"zzz"),
    ]
    found = read(make_zip(items))
    assert [(one.name, one.size, one.executable, one.method) for one in found] == [
        ("d/a.py", 1, True, 8),
        ("stored", 2, False, 0),
        ("é", 3, False, 8),
    ]
    data = make_zip(items)
    assert data[found[1].offset : found[1].offset + 2] == b"yy"


@pytest.mark.parametrize(
    "data",
    [
        make_zip([Item(name="a", data=b"x", flags=0x808)]),
        make_zip([Item(name="a", data=b"x", flags=8, descriptor=struct.pack("<3L", zlib.crc32(b"x"), 6, 1))]),
        make_zip(
            [Item(name="a", data=b"x", flags=8, descriptor=struct.pack("<L2Q", zlib.crc32(b"x"), 6, 1))]
        ),
        make_zip([Item(name="a", data=b"x", zip64=True)]),
        make_zip([Item(name="a", data=b"x", flags=0x802, local_flags=0x800)]),
        with_end([Item(name="a", data=b"x")], end_64(*zip_parts([Item(name="a", data=b"x")]), 1)),
        with_end([Item(name="a", data=b"x")], end(*zip_parts([Item(name="a", data=b"x")]), 1, comment=b"hi")),
        make_zip([Item(name="a", data=b"x", flags=0)]),
    ],
    ids=["descriptor", "unsigned", "wide", "zip64-sizes", "effort-bits", "zip64-end", "comment", "cp437"],
)
def test_valid_variants_are_read(data: bytes) -> None:
    (member,) = read(data)
    assert (member.name, member.size) == ("a", 1)


def test_an_empty_archive_has_no_members() -> None:
    assert read(make_zip([])) == ()


def with_other_local_zip64_size() -> bytes:
    """Return an archive whose zip64 field says one size in the directory and another before the data."""
    right = make_zip([Item(name="a", data=b"x", zip64=True)])
    field = right.index(struct.pack("<HHQ", 1, 16, 1))  # the local header's, which has two sizes
    return right[: field + 4] + struct.pack("<Q", 2) + right[field + 12 :]


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "end of central directory"),
    "truncated": (make_zip(ONE)[:-5], "end of central directory"),
    "half": (make_zip(ONE)[:40], "end of central directory"),
    "data after end": (make_zip(ONE) + b"x", "end of central directory"),
    "two ends": (
        with_end(ONE, end(MEMBERS, DIRECTORY, 1, comment=end(MEMBERS, DIRECTORY, 1))),
        "found 2",
    ),
    "two disks": (with_end(ONE, end(MEMBERS, DIRECTORY, 1, disk=1)), "one part"),
    "data before": (b"#!/bin/sh\n" + make_zip(ONE), "central directory to end at"),
    "count too high": (with_end(ONE, end(MEMBERS, DIRECTORY, 2)), "2 entries"),
    "not a central entry": (
        MEMBERS + b"x" * len(DIRECTORY) + end(MEMBERS, DIRECTORY, 1),
        "a central directory entry",
    ),
    "short central directory": (
        MEMBERS + DIRECTORY[:30] + end(MEMBERS, DIRECTORY[:30], 1),
        "a central directory entry",
    ),
    "cut central entry": (
        MEMBERS + DIRECTORY[:47] + end(MEMBERS, DIRECTORY[:47], 1),
        "runs over its end",
    ),
    "zip64 record elsewhere": (with_end(ONE, end_64(MEMBERS, DIRECTORY, 1, position=3)), "zip64 end record"),
    "zip64 on two disks": (with_end(ONE, end_64(MEMBERS, DIRECTORY, 1, disks=2)), "one part"),
    "zip64 record past the end": (with_end(ONE, end_64(MEMBERS, DIRECTORY, 1, position=10**6)), "truncated"),
    "zip64 size without field": (make_zip([Item(name="a", size=0xFFFFFFFF, body=b"x")]), "a zip64 field"),
    "zip64 size other in the local header": (with_other_local_zip64_size(), "the same CRC-32 and sizes"),
    "other disk": (make_zip([Item(name="a", disk=3)]), "disk 3"),
    "encrypted": (make_zip([Item(name="a", flags=0x801)]), "no encryption"),
    "strongly encrypted": (make_zip([Item(name="a", flags=0x840)]), "no encryption"),
    "masked": (make_zip([Item(name="a", flags=0x2800)]), "no encryption"),
    "patch data": (make_zip([Item(name="a", flags=0x820)]), "no encryption"),
    "lzma": (make_zip([Item(name="a", method=14)]), "method 14"),
    "zstandard": (make_zip([Item(name="a", method=93)]), "method 93"),
    "stored with two sizes": (make_zip([Item(name="a", method=0, data=b"xy", size=1)]), "stored bytes"),
    "symlink": (make_zip([Item(name="a", data=b"/etc/passwd", mode=0o120777)]), "a link or special"),
    "device": (make_zip([Item(name="a", mode=0o020644)]), "a link or special"),
    "directory mode on a file": (make_zip([Item(name="a", mode=0o040755)]), "a link or special"),
    "directory with data": (make_zip([Item(name="a/", data=b"x", mode=0o040755)]), "an empty directory"),
    "absolute": (make_zip([Item(name="/etc/passwd")]), "could escape"),
    "escaping": (make_zip([Item(name="../x")]), "could escape"),
    "escaping inside": (make_zip([Item(name="a/../../x")]), "could escape"),
    "dot": (make_zip([Item(name="./x")]), "could escape"),
    "double slash": (make_zip([Item(name="a//x")]), "could escape"),
    "backslash": (make_zip([Item(name="a\\..\\x")]), "could escape"),
    "nul": (make_zip([Item(name="a\0.py")]), "could escape"),
    "empty name": (make_zip([Item(name="")]), "could escape"),
    "only a slash": (make_zip([Item(name="/", mode=0o040755)]), "could escape"),
    "bad utf-8": (make_zip([Item(name="x", raw_name=b"\xff")]), "UTF-8"),
    "duplicate": (make_zip([Item(name="a"), Item(name="a")]), "one entry a name"),
    "file and directory": (make_zip([Item(name="a"), Item(name="a/b")]), "a file or a directory"),
    "setuid": (make_zip([Item(name="a", mode=0o104755)]), "without setuid"),
    "setgid": (make_zip([Item(name="a", mode=0o102755)]), "without setuid"),
    "case": (make_zip([Item(name="a/B"), Item(name="a/b")]), "differ in more than case, found a/B"),
    "case of a directory": (make_zip([Item(name="A/x"), Item(name="a/y")]), "more than case, found A"),
    "second name": (
        make_zip([Item(name="a", extra=struct.pack("<HHB", 0x7075, 1, 1))]),
        "Unicode path",
    ),
    "cut extra field": (make_zip([Item(name="a", extra=struct.pack("<HH", 9, 99))]), "whole extra fields"),
    "other local name": (make_zip([Item(name="a", local_name="b")]), "local header of the same name"),
    "longer local name": (make_zip([Item(name="a", local_name="ab")]), "local header of the same name"),
    "other local method": (make_zip([Item(name="a", local_method=0)]), "same flags and method"),
    "other local flags": (make_zip([Item(name="a", local_flags=0)]), "same flags and method"),
    "other local crc": (make_zip([Item(name="a", local_crc=1)]), "same CRC-32"),
    "other descriptor": (make_zip([Item(name="a", flags=0x808, descriptor=bytes(16))]), "data descriptor"),
    "no local header": (make_zip([Item(name="a", offset=5), Item(name="b")]), "local header"),
    "local header past the end": (make_zip([Item(name="a", offset=10**6)]), "truncated"),
    "data into the directory": (make_zip([Item(name="a", compressed_size=10**4)]), "before the central"),
    "impossible ratio": (make_zip([Item(name="a", body=bytes(5), size=6000)]), "deflate can hold"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_by_name(case: str) -> None:
    data, message = HOSTILE[case]
    with pytest.raises(InputError, match=message) as caught:
        read(data)
    assert str(caught.value).startswith("not a usable zip archive: w.whl")


def test_members_that_share_data_are_refused() -> None:
    """David Fifield's overlapping bomb: the second header lies inside the first one's data."""
    inner, _ = zip_parts([Item(name="b", data=b"payload")])
    outer = Item(name="a", data=inner, method=0)
    hidden = Item(name="b", data=b"payload", offset=30 + 1)
    members, directory = zip_parts([outer])
    _, second = zip_parts([hidden])
    with pytest.raises(InputError, match="shared with another entry"):
        read(members + directory + second + end(members, directory + second, 2))


def test_an_archive_that_inflates_beyond_reason_is_refused() -> None:
    huge = [Item(name=f"{number}", body=bytes(3 << 20), size=1000 * (3 << 20)) for number in range(2)]
    with pytest.raises(InputError, match="250 times"):
        read(make_zip(huge))


def test_no_cut_and_no_flipped_byte_of_a_directory_escapes_as_another_error() -> None:
    data = make_zip([Item(name="a.py", data=b"x = 1\n"), Item(name="b", data=b"y", method=0, flags=0x808)])
    for length in range(len(data)):
        with pytest.raises(InputError):
            read(data[:length])
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 0xFF
        try:
            read(bytes(flipped))
        except InputError:
            continue
