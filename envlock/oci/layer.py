"""Writing one layer: a reproducible ``tar+gzip`` whose bytes depend on no compressor.

Rules kept here (docs/image.md):

* Names are sorted, none twice; every parent directory is written explicitly before what is in it.
  Owner 0:0, one fixed time.
* Each file's content begins a gzip member: a wheel's deflate stream is spliced in as it is, anything
  else is stored, in members of 1,048,560 bytes. Headers and padding between two contents are a member
  of their own. So the blob is a function of the entries. A base's layer, pinned by its bytes, may come
  compressed instead (:func:`write_sorted`).
* The blob ends in a table of contents (:mod:`envlock.oci.estargz`).
* The diff ID is taken over the uncompressed bytes while they pass.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Final, NamedTuple, Protocol

from envlock.core.digest import Digest
from envlock.oci import estargz, tar
from envlock.oci.deflate import (
    MEMBER_HEADER,
    Deflated,
    header_member,
    member_trailer,
    spliced,
    stored_member,
)
from envlock.oci.estargz import Chunk, TableOfContents
from envlock.oci.heading import heading
from envlock.oci.model import Layer
from envlock.oci.path import ImagePath
from envlock.runtime.errors import InputError

FORMAT: Final = "2"
"""Changes whenever the bytes written for the same entries change: part of every cache key."""

MTIME: Final = 315_619_200
"""1980-01-02T00:00:00Z: in no time zone before 1980, the earliest time that a zip file can hold."""

_MEMBER = 16 * 65_535
_TOGETHER = 1 << 19


class Sink(Protocol):
    """Takes the blob's bytes and counts and hashes them, as the store's HashingWriter does."""

    size: int

    def write(self, data: bytes) -> int:
        """Write all of ``data``."""
        ...

    @property
    def digest(self) -> Digest:
        """The SHA-256 of everything written so far."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """A directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Symlink:
    """A symbolic link. Only base layers hold any."""

    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A file of ``size`` bytes, written uncompressed as ``pieces`` yields them."""

    size: int
    pieces: Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """A file of ``size`` bytes that comes as gzip members, none empty: what each holds, and its bytes."""

    size: int
    pieces: Iterable[tuple[bytes, bytes]]


Observer = Callable[[bytes], None]
"""Takes a file's pieces, in order."""


class Splice(NamedTuple):
    """A file whose deflate stream is copied as it is.

    ``observe`` is told its inflated bytes, ``hashed`` their SHA-256 in the end.
    """

    stream: Deflated
    hashed: Callable[[bytes], None] | None = None
    observe: Observer | None = None


Content = bytes | Stream | Members | Splice | Symlink | Directory


class Entry(NamedTuple):
    """One member of a layer. ``mode`` is the permission bits, 0o644 for a plain file.

    A tuple, as a layer may have 10,000: made in a third of a dataclass's time.
    """

    path: ImagePath
    mode: int
    content: Content


_LANDMARK: Final = Entry(path=estargz.LANDMARK, mode=0o644, content=estargz.LANDMARK_CONTENT)


def write_layer(entries: Iterable[Entry], sink: Sink, *, comment: str = "", mtime: int = MTIME) -> Layer:
    """Write ``entries``, in any order, with the parents that they need, and return the finished layer.

    Raises InputError when a path comes twice or is both a file and a directory, when a stream has
    another size than declared, or when a deflate stream is not what it declares.
    """
    writer = _LayerWriter(sink, mtime)
    for entry in _complete((_LANDMARK, *entries)):
        writer.add(entry)
    return writer.finish(comment, header_member)


def write_sorted(
    entries: Iterable[Entry], sink: Sink, *, pack: Callable[[bytes], bytes], comment: str = ""
) -> Layer:
    """Write ``entries``, which come one by one in a layer's order with all parents, and return the layer.

    ``pack`` makes the gzip member of the table of contents. Raises InputError for a stream of another size
    than declared.
    """
    writer = _LayerWriter(sink, MTIME)
    for entry in chain((_LANDMARK,), entries):
        writer.add(entry)
    return writer.finish(comment, pack)


def _complete(entries: Iterable[Entry]) -> list[Entry]:
    """Return ``entries`` sorted, with the missing parent directories (0755)."""
    members: dict[str, Entry] = {}
    for entry in entries:
        if members.setdefault(entry.path.text, entry) is not entry:
            raise InputError("a path comes twice in one layer", where=str(entry.path))
    if estargz.TABLE.text in members:
        raise InputError("a path of the table of contents", where=str(estargz.TABLE))
    for entry in tuple(members.values()):
        _add_parents(members, entry.path)
    return sorted(members.values(), key=attrgetter("path.text"))


def _add_parents(members: dict[str, Entry], path: ImagePath) -> None:
    """Walk up from ``path`` to the first parent that is there."""
    text = path.text.rpartition("/")[0]
    while text:
        parent = members.get(text)
        if parent is None:
            members[text] = Entry(path=ImagePath.again(text), mode=0o755, content=Directory())
        elif isinstance(parent.content, Directory):
            return
        else:
            raise InputError(
                "a path is a file and a directory in one layer", where=text, found=f"also {path}"
            )
        text = text.rpartition("/")[0]


class _LayerWriter:
    """Turns entries that are already in order into bytes."""

    def __init__(self, sink: Sink, mtime: int) -> None:
        self._sink = sink
        self._mtime = mtime
        self._diff = hashlib.sha256()
        self._length = 0
        self._padding = 0
        self._headers = bytearray()
        self._ready: list[bytes] = []
        self._offset = 0
        self._written = 0
        self._table = TableOfContents(mtime)

    def add(self, entry: Entry) -> None:
        """Write one member: header, content, padding."""
        match entry.content:
            case Splice() as splice:  # nearly always
                self._splice(entry, splice)
            case Directory():
                self._header(entry, kind="directory")
            case Symlink(target=target):
                self._header(entry, kind="symlink", target=target)
            case bytes() as data:
                self._file(entry, len(data), _stored((data,)))
            case Stream(size=size, pieces=pieces):
                self._file(entry, size, _stored(pieces()))
            case Members(size=size, pieces=members):
                self._file(entry, size, members)

    def finish(self, comment: str, pack: Callable[[bytes], bytes]) -> Layer:
        """End the archive with the table of contents, of which ``pack`` makes a gzip member."""
        self._flush()
        start, table = self._offset, self._table.json()
        name = estargz.TABLE.relative
        head = tar.header(name, mode=0o644, mtime=self._mtime, size=len(table))
        member = b"".join((head, table, tar.padding(len(table)), tar.END))
        self._plain(member)
        self._emit(pack(member))
        self._emit(estargz.footer(start))
        self._drain()
        return Layer(
            diff_id=Digest(self._diff.hexdigest()),
            blob=self._sink.digest,
            size=self._sink.size,
            comment=comment,
            annotations=estargz.annotations(table, self._length),
        )

    def _header(self, entry: Entry, *, kind: tar.Kind = "file", size: int = 0, target: str = "") -> None:
        name = entry.path.relative
        self._put(tar.header(name, kind=kind, mode=entry.mode, mtime=self._mtime, size=size, target=target))
        if not size:
            self._table.add(name, kind, entry.mode, target)

    def _file(self, entry: Entry, size: int, members: Iterable[tuple[bytes, bytes]]) -> None:
        self._header(entry, size=size)
        self._flush()
        whole = hashlib.sha256()
        chunks: list[Chunk] = []
        for piece, member in members:
            whole.update(piece)
            self._plain(piece)
            chunks.append(Chunk(offset=self._offset, size=len(piece), sha256=Digest.of(piece)))
            self._emit(member)
        seen = sum(chunk.size for chunk in chunks)
        if seen != size:
            raise InputError(
                "a file changed while it was read",
                where=str(entry.path),
                expected=f"{size} bytes",
                found=f"{seen}",
            )
        if chunks:
            self._table.add_file(entry.path.relative, entry.mode, Digest(whole.hexdigest()), chunks)
        self._padding = -seen % tar.BLOCK

    def _splice(self, entry: Entry, splice: Splice) -> None:
        stream = splice.stream
        size, name = stream.size, entry.path.relative
        made = None if self._headers else heading(self._padding, name, entry.mode, size, self._mtime)
        if made is None:
            self._put(tar.header(name, mode=entry.mode, mtime=self._mtime, size=size))
            self._flush()
        else:
            self._plain(made[0])
            self._emit(made[1])
        offset = self._offset
        state, diff = hashlib.sha256(), self._diff
        if size:
            self._emit(MEMBER_HEADER)
        for compressed, plain in spliced(stream):
            # An empty file has no body, so its two bytes of deflate are checked but not written.
            if size:
                self._emit(compressed)
            diff.update(plain)
            state.update(plain)
            if splice.observe:
                splice.observe(plain)
        self._length += size
        digest = state.digest()
        if splice.hashed:
            splice.hashed(digest)
        if size:
            self._emit(member_trailer(stream.crc, size))
            self._table.add_whole(name, entry.mode, size, offset, digest.hex())
        else:
            self._table.add(name, "file", entry.mode)
        self._padding = -size % tar.BLOCK

    def _plain(self, data: bytes) -> None:
        """Count bytes of the plain tar, which the caller writes in some form."""
        self._diff.update(data)
        self._length += len(data)

    def _put(self, data: bytes) -> None:
        """Take headers, to be written before the next content."""
        self._headers += data

    def _flush(self) -> None:
        data = bytes(self._padding) + self._headers
        self._padding, self._headers = 0, bytearray()
        if data:
            self._plain(data)
            self._emit(header_member(data))

    def _emit(self, data: bytes) -> None:
        """Take bytes of the blob. Small ones are written together: calls cost more than they do."""
        self._ready.append(data)
        self._offset += len(data)
        if self._offset - self._written >= _TOGETHER:
            self._drain()

    def _drain(self) -> None:
        self._sink.write(b"".join(self._ready))
        self._ready.clear()
        self._written = self._offset


def _stored(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return ((piece, stored_member(piece)) for piece in cut(pieces, _MEMBER))


def cut(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the same bytes in pieces of ``size``, the last one shorter, however they arrive."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)
