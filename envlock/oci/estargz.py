"""A layer's table of contents, by which a snapshotter reads single files before the layer is there (eStargz).

Source of the format: stargz-snapshotter, docs/estargz.md. Rules kept here:

* The table is JSON, the last member of the tar, in a gzip member of its own; an empty gzip member of
  51 bytes follows, whose extra field tells where the table begins.
* Each file's content begins a gzip member; the table has the offset of that member in the blob, the
  SHA-256 of the content, and of each chunk where a file has several.
* A layer also has a file that says that nothing in it should be fetched ahead.
"""

import json
import struct
from collections.abc import Sequence
from datetime import datetime, timezone
from json.encoder import encode_basestring_ascii
from typing import Final, NamedTuple

from envlock.core.digest import Digest
from envlock.oci import tar
from envlock.oci.deflate import MEMBER_HEADER, member_trailer
from envlock.oci.path import ImagePath

TABLE: Final = ImagePath("/stargz.index.json")
LANDMARK: Final = ImagePath("/.no.prefetch.landmark")
LANDMARK_CONTENT: Final = b"\x0f"
NOT_OF_THE_IMAGE: Final = (TABLE.text, LANDMARK.text, "/.prefetch.landmark")
"""What a layer may have at its root for snapshotters' sake, who show it to no container."""

TABLE_DIGEST: Final = "containerd.io/snapshot/stargz/toc.digest"
"""The annotation of a layer's descriptor by which the table is believed."""
UNCOMPRESSED_SIZE: Final = "io.containers.estargz.uncompressed-size"
"""The annotation that podman's lazy store wants: the bytes of the plain tar."""

_FLAG_EXTRA: Final = 4
_EMPTY_STORED_BLOCK: Final = b"\1\0\0\xff\xff"


class Chunk(NamedTuple):
    """A part of a file: ``offset`` is that of its gzip member in the blob, ``size`` its plain bytes."""

    offset: int
    size: int
    sha256: Digest


class TableOfContents:
    """The table, filled in the order of the tar's members."""

    def __init__(self, mtime: int) -> None:
        """Start an empty table. ``mtime``, in seconds since 1970, is every member's."""
        moment = datetime.fromtimestamp(mtime, timezone.utc)
        self._time = f',"modtime":"{moment:%Y-%m-%dT%H:%M:%SZ}"}}'
        self._rows: list[str] = []

    def add(self, name: str, kind: tar.Kind, mode: int, target: str = "") -> None:
        """Add a directory, a symlink to ``target`` or an empty file."""
        match kind:
            case "directory":
                self._row(f"{name}/", f'"type":"dir","mode":{mode}')
            case "symlink":
                self._row(name, f'"type":"symlink","mode":{mode},"linkName":{json.dumps(target)}')
            case "file":
                empty = Digest.of(b"")
                self._row(name, f'"type":"reg","mode":{mode},"digest":"{empty}"')

    def add_file(self, name: str, mode: int, sha256: Digest, chunks: Sequence[Chunk]) -> None:
        """Add a file with content, of which ``chunks`` are the parts in order, at least one."""
        first, rest = chunks[0], chunks[1:]
        size = first.size + sum(chunk.size for chunk in rest)
        part = f',"chunkSize":{first.size}' if rest else ""
        self._row(
            name,
            f'"type":"reg","mode":{mode},"size":{size},"offset":{first.offset}{part},'
            f'"digest":"{sha256}","chunkDigest":"{first.sha256}"',
        )
        start = first.size
        for chunk in rest:
            self._rows.append(
                f'{{"name":{json.dumps(name)},"type":"chunk","offset":{chunk.offset},'
                f'"chunkOffset":{start},"chunkSize":{chunk.size},"chunkDigest":"{chunk.sha256}"}}'
            )
            start += chunk.size

    def add_whole(self, name: str, mode: int, size: int, offset: int, sha256: str) -> None:
        """Add a file with content that is one part. ``sha256`` in hexadecimal."""
        self._rows.append(
            f'{{"name":{encode_basestring_ascii(name)},"type":"reg","mode":{mode},"size":{size},'
            f'"offset":{offset},"digest":"sha256:{sha256}","chunkDigest":"sha256:{sha256}"{self._time}'
        )

    def json(self) -> bytes:
        """Return the table's bytes."""
        return ('{"version":1,"entries":[\n' + ",\n".join(self._rows) + "\n]}").encode("ascii")

    def _row(self, name: str, members: str) -> None:
        self._rows.append(f'{{"name":{encode_basestring_ascii(name)},{members}{self._time}')


def annotations(table: bytes, size: int) -> tuple[tuple[str, str], ...]:
    """Return the annotations of the layer's descriptor. ``size``: the bytes of the plain tar."""
    return (TABLE_DIGEST, str(Digest.of(table))), (UNCOMPRESSED_SIZE, str(size))


def footer(table: int) -> bytes:
    """Return the blob's last 51 bytes; ``table`` is the offset of the table's gzip member."""
    field = b"%016xSTARGZ" % table
    extra = b"SG" + struct.pack("<H", len(field)) + field
    # The header of every other member, with the flag that an extra field follows.
    head = MEMBER_HEADER[:3] + bytes((_FLAG_EXTRA,)) + MEMBER_HEADER[4:]
    return head + struct.pack("<H", len(extra)) + extra + _EMPTY_STORED_BLOCK + member_trailer(0, 0)
