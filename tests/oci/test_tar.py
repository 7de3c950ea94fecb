"""Headers against those of the standard library, the independent writer at hand."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envlock.oci import tar

KINDS: dict[tar.Kind, bytes] = {
    "file": tarfile.REGTYPE,
    "directory": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
}


def info(name: str, kind: tar.Kind, mode: int, size: int, target: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.mode, made.mtime, made.size, made.linkname = KINDS[kind], mode, 315_619_200, size, target
    return made


def without_device_numbers(block: bytes) -> bytes:
    """Python versions differ in how they write the device numbers of what is no device."""
    return block[:148] + block[156:329] + block[345:]


@pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
@pytest.mark.parametrize(
    "name", ["a", "x" * 99, "d/" + "x" * 97, "p" * 150 + "/" + "n" * 90, "/".join(["part"] * 45)]
)
def test_ustar_headers_equal_those_of_tarfile(kind: tar.Kind, name: str) -> None:
    target = "to/there" if kind == "symlink" else ""
    size = 12345 if kind == "file" else 0
    theirs = info(name, kind, 0o755, size, target).tobuf(tarfile.USTAR_FORMAT)
    ours = tar.header(name, kind=kind, mode=0o755, mtime=315_619_200, size=size, target=target)
    assert without_device_numbers(ours) == without_device_numbers(theirs)


@pytest.mark.parametrize(
    ("name", "size", "target"),
    [
        ("données/é", 3, ""),
        ("x" * 101, 0, ""),
        ("p" * 160 + "/n", 0, ""),
        ("big", 8 << 30, ""),
        ("l", 0, "t" * 101),
    ],
)
def test_a_pax_header_stands_only_where_ustar_cannot_say_it_and_reads_back(
    name: str, size: int, target: str
) -> None:
    kind: tar.Kind = "symlink" if target else "file"
    data = tar.header(name, kind=kind, mode=0o644, mtime=1, size=size, target=target)
    assert data[156:157] == b"x"
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = archive.next()
    assert found is not None
    assert (found.name, found.size, found.linkname) == (name, size, target)


@given(
    name=st.lists(
        st.text(
            alphabet=st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/\\"),
            min_size=1,
            max_size=60,
        ).filter(lambda part: part not in (".", "..")),
        min_size=1,
        max_size=6,
    ).map("/".join),
    mode=st.integers(0, 0o1777),
    size=st.integers(0, 1 << 40),
)
def test_any_header_reads_back_as_it_was_given(name: str, mode: int, size: int) -> None:
    data = tar.header(name, mode=mode, mtime=315_619_200, size=size)
    assert len(data) % tar.BLOCK == 0
    with tarfile.open(fileobj=io.BytesIO(data), errorlevel=2) as archive:
        found = archive.next()
    assert found is not None
    # tarfile takes trailing slashes and names of V7 directories apart; a file's name has none.
    assert (found.name, found.mode, found.size, found.uid, found.gid) == (name, mode, size, 0, 0)
    assert (found.uname, found.gname, found.mtime) == ("", "", 315_619_200)


@pytest.mark.parametrize(("size", "zeros"), [(0, 0), (1, 511), (512, 0), (513, 511)])
def test_padding_fills_up_to_a_whole_block(size: int, zeros: int) -> None:
    assert tar.padding(size) == bytes(zeros)
