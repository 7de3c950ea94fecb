"""Layers read by the snapshotter's own package, which knows nothing of envlock (read.go)."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import zlib
from pathlib import Path

import pytest

from envlock.core.digest import Digest
from envlock.oci import estargz
from envlock.oci.deflate import Deflated
from envlock.oci.layer import MTIME, Content, Directory, Entry, Splice, Stream, Symlink
from envlock.oci.model import Layer
from envlock.oci.path import ImagePath
from envlock.runtime.errors import InputError
from tests.oci.images import Builder, file

KINDS = {tarfile.REGTYPE: "reg", tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "symlink"}
Listing = dict[str, dict[str, object]]


def read(reader: Path, store: Path, *layers: Layer) -> subprocess.CompletedProcess[str]:
    pairs = [
        (store / "blobs/sha256" / layer.blob.hex, dict(layer.annotations)[estargz.TABLE_DIGEST])
        for layer in layers
    ]
    argv = [str(reader), *(os.fspath(text) for pair in pairs for text in pair)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def in_the_tar(blob: bytes) -> Listing:
    found: Listing = {}
    with tarfile.open(fileobj=io.BytesIO(blob), mode="r:gz") as archive:
        members = archive.getmembers()
        assert members[-1].name == "stargz.index.json"
        for one in members[:-1]:
            body = archive.extractfile(one)
            data = b"" if body is None else body.read()
            found[one.name] = {
                "type": KINDS[one.type],
                "mode": one.mode,
                "time": one.mtime,
                "size": one.size,
                "target": one.linkname,
                "sha256": str(Digest.of(data)) if one.isreg() else "",
            }
    return found


def spliced(data: bytes) -> Splice:
    compressor = zlib.compressobj(wbits=-15)
    body = compressor.compress(data) + compressor.flush()
    deflated = Deflated(
        read=lambda offset, length: body[offset : offset + length],
        offset=0,
        compressed_size=len(body),
        size=len(data),
        crc=zlib.crc32(data),
        origin="o",
    )
    return Splice(stream=deflated)


def entry(path: str, content: Content, mode: int = 0o644) -> Entry:
    return Entry(path=ImagePath(path), mode=mode, content=content)


def test_the_snapshotters_reader_finds_every_file_of_a_layer(estargz_reader: Path, builder: Builder) -> None:
    large = bytes(range(256)) * 10_000
    layer = builder.layer(
        file("/opt/env/bin/tool", b"#!/bin/sh\n", 0o755),
        file("/opt/env/empty", b""),
        file("/opt/env/" + "long/" * 60 + "naïve \u65e5\u672c.txt", b"x"),
        entry("/opt/env/stored", Stream(size=len(large), pieces=lambda: (large,))),
        entry("/opt/env/spliced", spliced(large)),
        entry("/opt/env/spliced-empty", spliced(b"")),
        entry("/opt/env/zeros", spliced(bytes(5_000_000))),
        entry("/opt/link", Symlink(target="env/bin"), 0o777),
        entry("/out", Directory(), 0o1777),
    )
    done = read(estargz_reader, builder.store.root, layer)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == in_the_tar(builder.store.path(layer.blob).read_bytes())


def test_the_snapshotters_reader_refuses_another_table(estargz_reader: Path, builder: Builder) -> None:
    one, other = builder.layer(file("/a", b"1")), builder.layer(file("/a", b"2"))
    swapped = Layer(diff_id=one.diff_id, blob=one.blob, size=one.size, annotations=other.annotations)
    done = read(estargz_reader, builder.store.root, swapped)
    assert done.returncode != 0
    assert "invalid TOC JSON" in done.stderr


def test_a_layer_ends_in_its_table_and_a_footer_that_tells_where_it_begins(builder: Builder) -> None:
    layer = builder.layer(file("/a", b"1"))
    blob = builder.store.path(layer.blob).read_bytes()
    foot = blob[-51:]
    assert (foot[:16], foot[-13:]) == (
        b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0",
        b"\x01\0\0\xff\xff" + bytes(8),
    )
    assert foot[32:38] == b"STARGZ"
    start = int(foot[16:32], 16)
    inflater = zlib.decompressobj(wbits=31)
    with tarfile.open(fileobj=io.BytesIO(inflater.decompress(blob[start:]))) as archive:
        body = archive.extractfile(archive.getmembers()[0])
    assert inflater.unused_data == foot
    assert body is not None
    table = body.read()
    plain = gzip.decompress(blob)
    assert layer.annotations == (
        ("containerd.io/snapshot/stargz/toc.digest", f"sha256:{hashlib.sha256(table).hexdigest()}"),
        ("io.containers.estargz.uncompressed-size", str(len(plain))),
    )
    assert json.loads(table)["entries"][0]["name"] == ".no.prefetch.landmark"
    assert {entry["modtime"] for entry in json.loads(table)["entries"]} == {"1980-01-02T00:00:00Z"}
    assert MTIME == 315_619_200


@pytest.mark.parametrize("name", ["/stargz.index.json", "/.no.prefetch.landmark"])
def test_the_tables_own_paths_are_nobody_elses(builder: Builder, name: str) -> None:
    with pytest.raises(InputError):
        builder.layer(file(name, b""))
