"""Files of an image, as a container would see them, from its layers alone."""

import hashlib
import tarfile
from pathlib import Path

import pytest

from envlock.oci import layout
from envlock.oci.contents import Entry, LayerContents, merged, read_layer
from envlock.oci.model import Layer
from envlock.oci.reader import open_image
from envlock.runtime.errors import EnvlockError, InputError
from tests.oci.images import Builder, file


def member(
    name: str, *, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    return info


def read(builder: Builder, tmp_path: Path, *layers: Layer, keep: str = "") -> list[LayerContents]:
    directory = tmp_path / "layout"
    layout.write(builder.image(*layers), builder.store.path, directory, None)
    opened = open_image(f"oci:{directory}")
    return [read_layer(opened, layer, lambda path: path == keep) for layer in opened.image.layers]


def test_each_kind_of_entry_is_told_with_what_it_is(builder: Builder, tmp_path: Path) -> None:
    layer = builder.tar_layer(
        [
            (member("./opt", kind=tarfile.DIRTYPE, mode=0o755), b""),
            (member("opt/a", mode=0o600), b"text"),
            (member("opt/b", kind=tarfile.SYMTYPE, target="a"), b""),
            (member("opt/c", kind=tarfile.LNKTYPE, target="opt/a"), b""),
            (member("opt/d", kind=tarfile.FIFOTYPE), b""),
        ]
    )
    (contents,) = read(builder, tmp_path, layer, keep="/opt/a")
    found = dict(contents.entries)
    assert [entry.kind for entry in found.values()] == [
        "directory",
        "file",
        "symlink",
        "hard link",
        "special",
    ]
    digest = hashlib.sha256(b"text").hexdigest()
    assert found["/opt/a"] == Entry(kind="file", mode=0o600, owner="0:0", mtime=0, size=4, sha256=digest)
    assert found["/opt/b"].target == "a"
    assert contents.kept == {"/opt/a": b"text"}


def test_a_later_layer_hides_what_lies_below(builder: Builder, tmp_path: Path) -> None:
    below = builder.layer(
        file("/a/one", b"1"), file("/b/two", b"2"), file("/c/three", b"3"), file("/d", b"4")
    )
    above = builder.tar_layer(
        [
            (member("a/.wh.one"), b""),
            (member("b/.wh..wh..opq"), b""),
            (member("b/new"), b"new"),
            (member("c"), b"a file where a directory was"),
            (member("d"), b"other"),
        ]
    )
    seen = merged(read(builder, tmp_path, below, above))
    assert set(seen) >= {"/a", "/b", "/b/new", "/c", "/d"}
    assert set(seen).isdisjoint({"/a/one", "/b/two", "/c/three", "/a/.wh.one", "/b/.wh..wh..opq"})
    assert seen["/d"].sha256 == hashlib.sha256(b"other").hexdigest()


def test_a_whiteout_does_not_hide_what_its_own_layer_brings(builder: Builder, tmp_path: Path) -> None:
    below = builder.layer(file("/a/one", b"old"))
    above = builder.tar_layer([(member("a/one"), b"new"), (member("a/.wh.one"), b"")])
    seen = merged(read(builder, tmp_path, below, above))
    assert seen["/a/one"].sha256 == hashlib.sha256(b"new").hexdigest()


def test_a_layer_that_is_no_tar_is_refused(builder: Builder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="corrupt layer"):
        read(builder, tmp_path, builder.raw_layer(b"x" * 2000))


def test_a_layer_with_wrong_bytes_is_refused(builder: Builder, tmp_path: Path) -> None:
    layer = builder.layer(file("/a", b"text"))
    directory = tmp_path / "layout"
    layout.write(builder.image(layer), builder.store.path, directory, None)
    blob = directory / "blobs/sha256" / layer.blob.hex
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes().replace(b"text", b"tixt"))
    opened = open_image(f"oci:{directory}")
    with pytest.raises(EnvlockError):
        read_layer(opened, layer, lambda _: False)
