"""Writing an image as one tar that is an OCI layout and what ``docker load`` reads.

Rules kept here: layers first, the lowest before the others, then what tells of them; owner 0:0, one fixed
time; so the file is a function of the image and the tag, and layers can be in it before the image is made.
``manifest.json`` (Docker image specification 1.2) points at the OCI blobs, as ``docker save`` has written
since Docker 25; Docker 20.10 and podman follow it too. Every blob's bytes are hashed on their way in, unless
the store did it; the file appears whole or not at all.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from envlock.core import canonical
from envlock.core.digest import Digest
from envlock.core.progress import Advance
from envlock.host.files import Part, atomic_write, part_of, telling
from envlock.oci import tar
from envlock.oci.document import Descriptor
from envlock.oci.layer import MTIME
from envlock.oci.layout import (
    LAYOUT_FILE,
    Blobs,
    copy_verified,
    descriptor,
    distinct_blobs,
    documents,
    index_json,
    verified_pieces,
)
from envlock.oci.model import Image, ImageIndex, Layer
from envlock.oci.name import ImageName

_BLOBS: Final = "blobs/sha256"
_DIRECTORIES: Final = b"".join(
    tar.header(name, kind="directory", mode=0o755, mtime=MTIME) for name in ("blobs", _BLOBS)
)
_Members = Mapping[str, bytes | Descriptor]


class Growing:
    """An archive that takes layers while the image is still being made."""

    def __init__(self, part: Part, blobs: Blobs, thread: ThreadPoolExecutor) -> None:
        """``part`` is empty; ``blobs`` says where the layers are; ``thread``, one, writes them."""
        self._part, self._blobs, self._thread = part, blobs, thread
        self._taken: dict[Descriptor, Future[None]] = {}
        part.stream.write(_DIRECTORIES)

    def take(self, layer: Layer) -> None:
        """Begin to write the next layer, the lowest first. What fails is told when all is written."""
        blob = descriptor(layer)
        if blob not in self._taken:
            self._taken[blob] = self._thread.submit(self._write_ahead, blob)

    def finish(self, image: Image | ImageIndex, tag: str | None) -> None:
        """Write the rest of ``image``, and put the file in its place. Raises as :func:`write` does."""
        whole, taken = list(distinct_blobs(image)), list(self._taken)
        with telling(self._part.target):
            for one in self._taken.values():
                one.result()
            if taken != whole[: len(taken)]:
                taken = []
                self._part.stream.seek(len(_DIRECTORIES))
                self._part.stream.truncate()
            self._write({**_layers(whole[len(taken) :]), **_about(image, tag)})
            self._part.stream.write(tar.END)
            self._part.place()

    def _write_ahead(self, blob: Descriptor) -> None:
        stream = self._part.stream
        start = stream.tell()
        self._write(_layers([blob]))
        stream.flush()
        # The disk begins now, so that there is less to wait for in the end (posix_fadvise(2)).
        os.posix_fadvise(stream.fileno(), start, stream.tell() - start, os.POSIX_FADV_DONTNEED)

    def _write(self, members: _Members) -> None:
        _write(_parts(members), self._blobs, self._part.stream)


@contextmanager
def growing(file: Path, blobs: Blobs) -> Iterator[Growing]:
    """Yield what becomes ``file`` when it is finished."""
    with ExitStack() as stack:
        with telling(file):
            part = stack.enter_context(part_of(file))
        thread = ThreadPoolExecutor(1)
        stack.callback(thread.shutdown, cancel_futures=True)
        yield Growing(part, blobs, thread)


def write(image: Image | ImageIndex, blobs: Blobs, file: Path, tag: str | None = None) -> None:
    """Write ``image`` to ``file``; several platforms have no ``manifest.json``.

    Raises IntegrityError when a blob has other bytes than the image says.
    """
    with growing(file, blobs) as archive:
        archive.finish(image, tag)


def pieces(
    image: Image, blobs: Blobs, tag: str | None = None, without: Collection[Digest] = ()
) -> Iterator[bytes]:
    """Yield what :func:`write` writes, for a reader who has the blobs ``without``. Raises as it does."""
    layers = _layers(blob for blob in distinct_blobs(image) if blob.digest not in without)
    for part in _whole({**layers, **_about(image, tag)}):
        if isinstance(part, bytes):
            yield part
        else:
            yield from verified_pieces(part, blobs(part.digest))


def write_members(members: _Members, blobs: Blobs, file: Path, advance: Advance = lambda _: None) -> None:
    """Write a layout's files to ``file``, sorted: bytes as they are, blobs from where ``blobs`` says.

    ``advance`` is told of each piece of a blob. Raises as :func:`write` does.
    """
    with atomic_write(file) as stream:
        _write(_whole(dict(sorted(members.items()))), blobs, stream, advance)


def _layers(blobs: Iterable[Descriptor]) -> _Members:
    return {f"{_BLOBS}/{blob.digest.hex}": blob for blob in blobs}


def _about(image: Image | ImageIndex, tag: str | None) -> _Members:
    """Return what tells of the layers."""
    members = {f"{_BLOBS}/{digest.hex}": data for digest, data in documents(image).items()}
    members["index.json"] = index_json(image, tag)
    members["oci-layout"] = LAYOUT_FILE
    if isinstance(image, Image):
        members["manifest.json"] = _docker_manifest(image, tag)
    return dict(sorted(members.items()))


def _write(
    parts: Iterable[bytes | Descriptor], blobs: Blobs, stream: IO[bytes], advance: Advance = lambda _: None
) -> None:
    for part in parts:
        if isinstance(part, bytes):
            stream.write(part)
        else:
            copy_verified(part, blobs(part.digest), stream, advance)


def _whole(members: _Members) -> Iterator[bytes | Descriptor]:
    """Yield what an archive is made of, as :func:`_parts` does."""
    yield _DIRECTORIES
    yield from _parts(members)
    yield tar.END


def _parts(members: _Members) -> Iterator[bytes | Descriptor]:
    """Yield what members are made of, in order: bytes, and blobs that are copied from where they lie."""
    for name, member in members.items():
        size = len(member) if isinstance(member, bytes) else member.size
        yield tar.header(name, mode=0o644, mtime=MTIME, size=size)
        yield member
        yield tar.padding(size)


def _docker_manifest(image: Image, tag: str | None) -> bytes:
    return canonical.dumps(
        [
            {
                "Config": f"{_BLOBS}/{image.config_digest.hex}",
                "Layers": [f"{_BLOBS}/{layer.blob.hex}" for layer in image.layers],
                "RepoTags": None if tag is None else [str(ImageName.parse(tag))],
            }
        ]
    )
