"""What files an image has, from its layers, without unpacking them.

Rules kept here (OCI image-spec 1.1, layer.md):

* Layers apply in order; a name in a later layer stands for the one below. ``.wh.NAME`` removes NAME and
  all below it, ``.wh..wh..opq`` what layers below put into its directory.
* Paths are absolute and normalised (``/usr/bin/python3``), whatever spelling the tar has.
* A layer's table of contents (:mod:`envlock.oci.estargz`) is left out.
* Bytes are hashed and not kept, but for the files that ``keep`` asks for.
"""

import hashlib
import posixpath
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Final, Literal, cast

from envlock.host.files import CHUNK
from envlock.oci import estargz
from envlock.oci.inflation import inflated
from envlock.oci.model import Layer
from envlock.oci.reader import OpenedImage
from envlock.runtime.errors import InputError

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_KEPT_BYTES: Final = 64 << 20

Kind = Literal["file", "directory", "symlink", "hard link", "special"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A name of an image. ``size`` in bytes, ``mtime`` in seconds since 1970, ``owner`` as ``0:0``."""

    kind: Kind
    mode: int
    owner: str
    mtime: int
    size: int = 0
    sha256: str | None = None
    """Of a file's bytes, where they were hashed."""
    target: str | None = None
    """Where a link leads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerContents:
    """The entries of one layer in the order of its tar, whiteouts included, and the bytes that were kept."""

    entries: tuple[tuple[str, Entry], ...]
    kept: Mapping[str, bytes]


def read_layer(
    opened: OpenedImage, layer: Layer, keep: Callable[[str], bool], *, hashed: bool = True
) -> LayerContents:
    """List a layer. Files whose path ``keep`` accepts also come with their bytes.

    Raises InputError for a malformed layer and IntegrityError for a blob with wrong bytes.
    """
    entries: list[tuple[str, Entry]] = []
    kept: dict[str, bytes] = {}
    where = str(layer.blob)
    with opened.open_blob(layer.blob) as blob:
        stream = inflated(blob, where)
        try:
            with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|", bufsize=CHUNK) as archive:
                for member in archive:
                    # tarfile would keep every header of the layer.
                    archive.members = []  # type: ignore[attr-defined] # not in the type stubs
                    path = posixpath.normpath("/" + member.name.lstrip("/"))
                    if path in estargz.NOT_OF_THE_IMAGE:
                        continue
                    wanted = member.size <= _KEPT_BYTES and keep(path)
                    entry, data = _entry(archive, member, wanted=wanted, hashed=hashed)
                    entries.append((path, entry))
                    if wanted and data is not None:
                        kept[path] = data
        except tarfile.TarError as error:
            raise InputError("corrupt layer", where=where, expected="a tar", found=str(error)) from error
        while stream.read(CHUNK):  # what follows the archive's end belongs to the digest
            pass
    return LayerContents(entries=tuple(entries), kept=kept)


def merged(layers: Iterable[LayerContents]) -> dict[str, Entry]:
    """Return what a container sees: path → entry."""
    seen: dict[str, Entry] = {}
    for layer in layers:
        for path, _ in layer.entries:
            directory, name = posixpath.split(path)
            if name == _OPAQUE:
                _remove_below(seen, directory)
            elif name.startswith(_WHITEOUT):
                hidden = posixpath.join(directory, name.removeprefix(_WHITEOUT))
                _remove_below(seen, hidden)
                seen.pop(hidden, None)
        for path, entry in layer.entries:
            if posixpath.basename(path).startswith(_WHITEOUT):
                continue
            before = seen.get(path)
            if before is not None and before.kind == "directory" and entry.kind != "directory":
                _remove_below(seen, path)
            seen[path] = entry
    return seen


def _remove_below(seen: dict[str, Entry], directory: str) -> None:
    start = directory.rstrip("/") + "/"
    for path in [one for one in seen if one.startswith(start)]:
        del seen[path]


def _entry(
    archive: tarfile.TarFile, member: tarfile.TarInfo, *, wanted: bool, hashed: bool
) -> tuple[Entry, bytes | None]:
    kind = _kind(member)
    read = kind == "file" and (hashed or wanted)
    digest, data = _content(archive, member, wanted=wanted) if read else (None, None)
    entry = Entry(
        kind=kind,
        mode=member.mode & 0o7777,
        owner=f"{member.uid}:{member.gid}",
        mtime=int(member.mtime),
        size=member.size if kind == "file" else 0,
        sha256=digest,
        target=member.linkname or None,
    )
    return entry, data


def _kind(member: tarfile.TarInfo) -> Kind:
    if member.isreg():
        return "file"
    if member.isdir():
        return "directory"
    if member.issym():
        return "symlink"
    return "hard link" if member.islnk() else "special"


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, *, wanted: bool) -> tuple[str, bytes | None]:
    stream = archive.extractfile(member)
    state, pieces = hashlib.sha256(), []
    while stream is not None and (piece := stream.read(CHUNK)):
        state.update(piece)
        if wanted:
            pieces.append(piece)
    return state.hexdigest(), b"".join(pieces) if wanted else None
