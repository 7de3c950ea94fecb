"""A base that somebody else made: its layers as the lock pins them, and what envlock puts on them.

Rules kept here (docs/image.md, "Bases"):

* A gzip layer is pinned as it is; one that is not compressed (``docker save``) is compressed once, now.
  Each is held to the diff ID that its image's config states. Other compressions and layers that are no
  part of the image ("foreign") are refused.
* A comment says which of the base's layers it is, and nothing of how it was made: build arguments in a
  history may be secrets.
* envlock's own directories must be none of the base's links and hold nothing, else its layers would
  replace what the base has there.
* Two layers come on top: the links by which ``/opt/env/bin/python`` is the base's interpreter, with an
  account for the job where the base runs as root; and the standard library's bytecode where it has none.
"""

import hashlib
import os
import re
import stat
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Final, cast

from envlock.core.digest import Digest
from envlock.core.progress import Advance, Progress
from envlock.host.files import CHUNK
from envlock.host.rooted import located
from envlock.host.store import HashingWriter, Store
from envlock.image import base_bytecode, base_root, remembered
from envlock.image.base import packed_layer
from envlock.image.base_layer import pinned
from envlock.image.base_members import Member, Plan, complete, link
from envlock.image.bytecode import Compiler
from envlock.image.pieces import LEVEL, compressed
from envlock.lock.model import Base, BaseLayer, Pairs, Python
from envlock.oci.contents import merged, read_layer
from envlock.oci.inflation import Readable, inflated
from envlock.oci.model import MEDIA_LAYER_GZIP, Layer
from envlock.oci.reader import OpenedImage
from envlock.runtime.errors import InputError, IntegrityError

PLACES: Final = ("/opt", "/opt/env", "/opt/envlock", "/work", "/out", "/tmp")  # noqa: S108 (the image's own)
"""Directories that envlock's layers have: plain ones in a base, or not there."""
_OWN: Final = ("/opt/env", "/opt/envlock")
_MOUNTED: Final = ("/proc", "/sys", "/dev", "/run")

_FACT: Final = "foreign-layer"
_PRIVILEGED: Final = "foreign-privileged"
_SET_ID: Final = stat.S_ISUID | stat.S_ISGID
_GZIP_MAGIC: Final = b"\x1f\x8b"
_CARRIED: Final = re.compile(r"\.tar([.+]gzip)?$")
_FOREIGN: Final = ("nondistributable", "foreign")

# What would lead the image's Python to other code or another home than its own.
_LEADING: Final = re.compile(
    r"PYTHON(HOME|PATH|STARTUP|USERBASE|EXECUTABLE|SAFEPATH|PLATLIBDIR)|VIRTUAL_ENV.*|CONDA_.*|LD_(PRELOAD|AUDIT)"
)
# A value that only its owner may know is in the base for whoever has it, and goes no further.
_SECRET: Final = re.compile(
    r"(?i)(^|_)(token|secret|password|passwd|pass|credentials?|api_?key|private_?key)(_|$)"
)


def pin(opened: OpenedImage, store: Store, progress: Progress) -> tuple[BaseLayer, ...]:
    """Return the layers of ``opened``, whose blobs are then in ``store``.

    Raises InputError for a layer of a kind that is not carried, IntegrityError for wrong bytes.
    """
    layers = opened.image.layers
    for layer in layers:
        _refuse_kind(layer, opened.source.where)
    total = sum(layer.size for layer in layers)
    with progress.task("reading the base's layers", total, "B") as advance:
        return tuple(
            _pinned(opened, layer, f"base, layer {number} of {len(layers)}", store, advance)
            for number, layer in enumerate(layers, 1)
        )


def privileged(opened: OpenedImage, store: Store) -> tuple[str, ...]:
    """Return the programs of the base that run with the rights of their owner or group, sorted.

    Its layers are its own and stay as they are, so an image has them too.
    """
    key = " ".join(str(layer.diff_id) for layer in opened.image.layers)
    known = (store.fact(_PRIVILEGED, key) or {}).get("paths")
    if isinstance(known, list):
        return tuple(map(str, known))
    layers = (read_layer(opened, layer, lambda _: False, hashed=False) for layer in opened.image.layers)
    seen = merged(layers)
    found = sorted(
        path for path, entry in seen.items() if entry.kind in ("file", "hard link") and entry.mode & _SET_ID
    )
    store.remember(_PRIVILEGED, key, {"paths": found})
    return tuple(found)


def variables(environment: Pairs) -> tuple[Pairs, tuple[str, ...]]:
    """Return which variables of the base's config an image keeps, and the names of those it does not."""
    dropped = tuple(
        sorted({name for name, _ in environment if _LEADING.fullmatch(name) or _SECRET.search(name)})
    )
    return tuple((name, value) for name, value in environment if name not in dropped), dropped


def check_places(root: Path, where: str) -> None:
    """Raise InputError where envlock's layers would replace what the base unpacked at ``root`` has."""
    for place in (*PLACES, *_MOUNTED):
        try:
            mode = os.lstat(root / place[1:]).st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(mode):
            found = "a link" if stat.S_ISLNK(mode) else "a file"
            raise InputError(
                "the base leaves no room", where=f"{where}: {place}", expected="a directory", found=found
            )
        if place in _OWN and any((root / place[1:]).iterdir()):
            raise InputError(
                "the base leaves no room",
                where=f"{where}: {place}",
                expected="nothing in it",
                found="files: it may be an image that envlock built",
            )


def links(root: Path, base: Base, python: Python, store: Store) -> BaseLayer:
    """Return the layer by which the base, unpacked at ``root``, has the environment's interpreter."""
    members = complete(_members(root, base, python))
    layer, _ = packed_layer(Plan(comment="python", members=members), store, lambda _: None)
    return replace(layer, added=True)


def bytecode(compiler: Compiler, python: Python) -> tuple[BaseLayer, ...]:
    """Return the layer of the standard library's bytecode, where the base has not all of it.

    Raises what compiling raises (:mod:`envlock.image.base_bytecode`).
    """
    made = base_bytecode.compiled(compiler, python)
    return () if made is None else (replace(made, added=True),)


def _members(root: Path, base: Base, python: Python) -> Iterator[Member]:
    for name in ("python", "python3", f"python{python.minor}"):
        yield link(f"/opt/env/bin/{name}", str(base.python))
    if not base.user:
        for path, line in base_root.ACCOUNT.items():
            yield from _with_line(root, path, line)


def _with_line(root: Path, path: str, line: str) -> Iterator[Member]:
    """Yield the base's account file with one more line, unless it knows that number or name already."""
    file = located(root, path)
    text = file.read_text("utf-8", "surrogateescape") if file.is_file() else ""
    name, _, number = line.split(":")[:3]
    taken = (entry.split(":") for entry in text.splitlines())
    if any(name == fields[0] or [number] == fields[2:3] for fields in taken):
        return
    data = f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{line}".encode(
        "utf-8", "surrogateescape"
    )
    where = f"/{file.relative_to(root)}"
    yield Member(path=where, mode=0o644, data=data, size=len(data))


def _refuse_kind(layer: Layer, where: str) -> None:
    kind = layer.media_type
    if any(word in kind for word in _FOREIGN) or not _CARRIED.search(kind):
        raise InputError(
            "a layer of the base can't be carried",
            where=f"{where}: {layer.blob}",
            expected="a tar with gzip or without compression",
            found=kind,
            hint="copy the image with gzip layers, for example with skopeo copy --dest-compress-format gzip",
        )


def _pinned(opened: OpenedImage, layer: Layer, comment: str, store: Store, advance: Advance) -> BaseLayer:
    key = f"{layer.blob} {layer.diff_id} {LEVEL} {zlib.ZLIB_RUNTIME_VERSION}"
    known = remembered.recall(store, _FACT, key, comment)
    if known is None:
        with opened.open_blob(layer.blob) as stream:
            begins = stream.peek(len(_GZIP_MAGIC))  # type: ignore[attr-defined] # a buffered reader
            known = (_kept if begins.startswith(_GZIP_MAGIC) else _compressed)(stream, layer, comment, store)
        remembered.keep(store, _FACT, key, known)
    advance(layer.size)
    return pinned(known)


def _kept(stream: IO[bytes], layer: Layer, comment: str, store: Store) -> Layer:
    """Take a gzip layer into the store as it is."""
    with store.writing(layer.blob) as sink:
        state = hashlib.sha256()
        for piece in _pieces(inflated(cast("IO[bytes]", _Teed(stream, sink)), str(layer.blob))):
            state.update(piece)
        _check(layer, Digest(state.hexdigest()))
    return replace(layer, comment=comment, media_type=MEDIA_LAYER_GZIP)


def _compressed(stream: IO[bytes], layer: Layer, comment: str, store: Store) -> Layer:
    """Compress a layer into the store."""
    state = hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for piece in _pieces(stream):
            state.update(piece)
            yield piece

    with store.writing() as sink:
        for packed in compressed(hashed()):
            sink.write(packed)
        _check(layer, Digest(state.hexdigest()))
    return Layer(diff_id=layer.diff_id, blob=sink.digest, size=sink.size, comment=comment)


def _check(layer: Layer, found: Digest) -> None:
    if found != layer.diff_id:
        raise IntegrityError(
            "a layer of the base is not the one that its config states",
            where=str(layer.blob),
            expected=str(layer.diff_id),
            found=str(found),
        )


def _pieces(stream: Readable) -> Iterator[bytes]:
    while piece := stream.read(CHUNK):
        yield piece


class _Teed:
    """A stream whose bytes are also written elsewhere as they are read."""

    def __init__(self, stream: IO[bytes], sink: HashingWriter) -> None:
        self._stream = stream
        self._sink = sink

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._sink.write(data)
        return data
