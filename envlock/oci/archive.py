"""Writing an image as one tar that is an OCI layout and what ``docker load`` reads.

Rules kept here: members sorted by name, owner 0:0, one fixed time, so the file is a function of the
image and the tag. ``manifest.json`` (Docker image specification 1.2) points at the OCI blobs, as
``docker save`` has written since Docker 25; Docker 20.10 and podman follow it too. Every blob's
bytes are hashed on their way in, unless the store did it; the file appears whole or not at all.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from envlock.core import canonical
from envlock.core.digest import Digest
from envlock.core.progress import Advance
from envlock.host.files import atomic_write
from envlock.oci import tar
from envlock.oci.document import Descriptor
from envlock.oci.layer import MTIME
from envlock.oci.layout import (
    LAYOUT_FILE,
    Blobs,
    copy_verified,
    distinct_blobs,
    documents,
    index_json,
    verified_pieces,
)
from envlock.oci.model import Image, ImageIndex
from envlock.oci.name import ImageName

_BLOBS: Final = "blobs/sha256"


def write(image: Image | ImageIndex, blobs: Blobs, file: Path, tag: str | None = None) -> None:
    """Write ``image`` to ``file``; several platforms have no ``manifest.json``.

    Raises IntegrityError when a blob has other bytes than the image says.
    """
    write_members(_members(image, tag), blobs, file)


def pieces(
    image: Image, blobs: Blobs, tag: str | None = None, without: Collection[Digest] = ()
) -> Iterator[bytes]:
    """Yield what :func:`write` writes, for a reader who has the blobs ``without``. Raises as it does."""
    for part in _parts(_members(image, tag, without)):
        if isinstance(part, bytes):
            yield part
        else:
            yield from verified_pieces(part, blobs(part.digest))


def _members(
    image: Image | ImageIndex, tag: str | None, without: Collection[Digest] = ()
) -> dict[str, bytes | Descriptor]:
    members: dict[str, bytes | Descriptor] = {
        "index.json": index_json(image, tag),
        "oci-layout": LAYOUT_FILE,
    }
    if isinstance(image, Image):
        members["manifest.json"] = _docker_manifest(image, tag)
    members.update((f"{_BLOBS}/{digest.hex}", data) for digest, data in documents(image).items())
    members.update(
        (f"{_BLOBS}/{blob.digest.hex}", blob) for blob in distinct_blobs(image) if blob.digest not in without
    )
    return members


def write_members(
    members: Mapping[str, bytes | Descriptor], blobs: Blobs, file: Path, advance: Advance = lambda _: None
) -> None:
    """Write a layout's files to ``file``: bytes as they are, blobs from where ``blobs`` says.

    ``advance`` is told of each piece of a blob. Raises as :func:`write` does.
    """
    with atomic_write(file) as stream:
        for part in _parts(members):
            if isinstance(part, bytes):
                stream.write(part)
            else:
                copy_verified(part, blobs(part.digest), stream, advance)


def _parts(members: Mapping[str, bytes | Descriptor]) -> Iterator[bytes | Descriptor]:
    """Yield what the archive is made of, in order: bytes, and blobs that are copied from where they lie."""
    for directory in ("blobs", _BLOBS):
        yield tar.header(directory, kind="directory", mode=0o755, mtime=MTIME)
    for name, member in sorted(members.items()):
        size = len(member) if isinstance(member, bytes) else member.size
        yield tar.header(name, mode=0o644, mtime=MTIME, size=size)
        yield member
        yield tar.padding(size)
    yield tar.END


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
