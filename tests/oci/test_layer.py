import gzip
import hashlib
import io
import tarfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envlock.core.digest import Digest
from envlock.host.store import HashingWriter
from envlock.oci.deflate import Deflated
from envlock.oci.layer import (
    MTIME,
    Content,
    Directory,
    Entry,
    Members,
    Splice,
    Stream,
    Symlink,
    write_layer,
)
from envlock.oci.model import Layer
from envlock.oci.path import ImagePath
from envlock.runtime.errors import InputError
from tests.golden import pinned_json
from tests.oci.images import file

GOLDEN = Path(__file__).parent / "golden/layer.json"


def written(*entries: Entry) -> tuple[Layer, bytes]:
    target = io.BytesIO()
    return write_layer(entries, HashingWriter(target), comment="c"), target.getvalue()


def spliced(data: bytes, level: int = 6) -> Splice:
    compressor = zlib.compressobj(level, wbits=-15)
    body = compressor.compress(data) + compressor.flush()
    return Splice(
        stream=Deflated(
            read=lambda offset, length: body[offset : offset + length],
            offset=0,
            compressed_size=len(body),
            size=len(data),
            crc=zlib.crc32(data),
            origin="o",
        )
    )


part = st.text(
    alphabet=st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"),
    min_size=1,
    max_size=40,
).filter(lambda text: text not in (".", ".."))
paths = st.lists(part, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))
contents = st.one_of(
    st.binary(max_size=3000),
    st.binary(max_size=3000).map(spliced),
    st.binary(max_size=3000).map(lambda data: Stream(size=len(data), pieces=lambda: (data[:5], data[5:]))),
    st.binary(min_size=1, max_size=5).map(lambda data: data * 400_000),
)


def plain_bytes(content: Content) -> bytes:
    match content:
        case bytes():
            return content
        case Stream(pieces=pieces):
            return b"".join(pieces())
        case Splice(stream=stream):
            return zlib.decompress(stream.read(0, stream.compressed_size), wbits=-15)
        case Members(pieces=members):
            return b"".join(plain for plain, _ in members)
        case Symlink() | Directory():
            raise AssertionError


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(paths, st.tuples(contents, st.sampled_from([0o644, 0o755])), max_size=8))
def test_a_layer_reads_back_as_the_entries_that_went_in(tree: dict[str, tuple[Content, int]]) -> None:
    """Rule: names sorted, parents explicit, owner 0:0, one fixed time, no duplicates."""
    files = {
        path: value for path, value in tree.items() if not any(other.startswith(path + "/") for other in tree)
    }
    entries = [Entry(path=ImagePath(path), mode=mode, content=body) for path, (body, mode) in files.items()]
    layer, blob = written(*entries)
    plain = gzip.GzipFile(fileobj=io.BytesIO(blob)).read()
    assert (layer.blob, layer.size, layer.diff_id) == (Digest.of(blob), len(blob), Digest.of(plain))
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        members = archive.getmembers()
        found = {}
        for one in members:
            assert (one.uid, one.gid, one.uname, one.gname, one.mtime) == (0, 0, "", "", MTIME)
            if one.isreg():
                body = archive.extractfile(one)
                assert body is not None
                found["/" + one.name] = (body.read(), one.mode)
    # What the layer has for lazy pulling.
    assert members[-1].name == "stargz.index.json"
    del found["/.no.prefetch.landmark"], found["/stargz.index.json"]
    names = [one.name for one in members[:-1]]
    assert names == sorted(set(names))
    parents = {str(parent)[1:] for path in files for parent in ImagePath(path).parents()}
    assert {one.name for one in members if one.isdir()} == parents
    assert found == {path: (plain_bytes(body), mode) for path, (body, mode) in files.items()}


def test_the_blob_does_not_depend_on_the_order_or_the_cuts_of_what_goes_in() -> None:
    data = bytes(range(256)) * 10_000
    one = Stream(size=len(data), pieces=lambda: (data,))
    other = Stream(size=len(data), pieces=lambda: (data[i : i + 999] for i in range(0, len(data), 999)))
    a = written(Entry(path=ImagePath("/a"), mode=0o644, content=one), file("/b", b"x"))
    b = written(file("/b", b"x"), Entry(path=ImagePath("/a"), mode=0o644, content=other))
    assert a == b


def test_a_spliced_body_is_copied_not_compressed_again() -> None:
    data = b"hello " * 1000
    for level in (1, 9):
        splice = spliced(data, level)
        _, blob = written(Entry(path=ImagePath("/f"), mode=0o644, content=splice))
        assert splice.stream.read(0, splice.stream.compressed_size) in blob


def test_the_inflated_bytes_of_a_splice_can_be_observed() -> None:
    seen: list[bytes] = []
    hashes: list[bytes] = []
    watched = Splice(stream=spliced(b"abc").stream, hashed=hashes.append, observe=seen.append)
    written(Entry(path=ImagePath("/f"), mode=0o644, content=watched))
    assert b"".join(seen) == b"abc"
    assert hashes == [hashlib.sha256(b"abc").digest()]


def test_symlinks_and_directories_keep_target_and_mode() -> None:
    _, blob = written(
        Entry(path=ImagePath("/out"), mode=0o1777, content=Directory()),
        Entry(path=ImagePath("/lib"), mode=0o777, content=Symlink(target="usr/lib")),
    )
    with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
        assert archive.getmember("out").mode == 0o1777
        assert archive.getmember("lib").linkname == "usr/lib"


def test_a_path_that_comes_twice_is_refused() -> None:
    with pytest.raises(InputError, match="twice"):
        written(file("/a", b"1"), file("/a", b"2"))


def test_a_path_that_is_file_and_directory_is_refused() -> None:
    with pytest.raises(InputError, match="a file and a directory"):
        written(file("/a", b"1"), file("/a/b/c", b"2"))


def test_a_stream_of_another_size_than_declared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="changed while it was read"):
        written(Entry(path=ImagePath("/a"), mode=0o644, content=Stream(size=4, pieces=lambda: (b"abc",))))


def test_the_bytes_of_a_small_layer_are_pinned() -> None:
    layer, _ = written(
        file("/opt/env/bin/tool", b"#!/bin/sh\n", 0o755),
        Entry(path=ImagePath("/opt/env/empty"), mode=0o644, content=spliced(b"")),
    )
    pinned_json(GOLDEN, {"diff_id": str(layer.diff_id), "blob": str(layer.blob)})
