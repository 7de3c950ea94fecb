"""Writing an image as an OCI image layout directory (OCI image-spec 1.1, image-layout.md).

Every blob's bytes are hashed on their way in, unless the store did it; the directory appears whole or
not at all.
"""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final

from envlock.core import canonical
from envlock.core.digest import Digest
from envlock.core.progress import Advance
from envlock.host.files import CHUNK, atomic_directory, copy, file_digest
from envlock.host.store import Store
from envlock.oci.document import Descriptor
from envlock.oci.model import MEDIA_INDEX, MEDIA_MANIFEST, Image, ImageIndex, Layer
from envlock.oci.name import ImageName
from envlock.oci.source import verified
from envlock.runtime.errors import InputError, IntegrityError


@dataclass(frozen=True, slots=True)
class Verified:
    """A file of which it is known that it has the right bytes."""

    path: Path


Blobs = Callable[[Digest], Path | Verified | IO[bytes]]
"""Where a layer's bytes are: a file, or a stream that the reader closes. Both are hashed, unless verified."""

LAYOUT_FILE: Final = canonical.dumps({"imageLayoutVersion": "1.0.0"})


def write(image: Image | ImageIndex, blobs: Blobs, directory: Path, tag: str | None = None) -> None:
    """Write ``image`` to ``directory``, replacing a layout that is there.

    Raises IntegrityError when a blob has other bytes than the image says, and InputError when
    ``directory`` is something else than a layout.
    """
    _refuse_other_directory(directory)
    index = index_json(image, tag)
    with atomic_directory(directory) as part:
        place = part / "blobs" / "sha256"
        place.mkdir(parents=True)
        for blob in distinct_blobs(image):
            _place_blob(blob, blobs(blob.digest), place / blob.digest.hex)
        for digest, data in documents(image).items():
            _write_file(place / digest.hex, data)
        _write_file(part / "oci-layout", LAYOUT_FILE)
        _write_file(part / "index.json", index)


def documents(image: Image | ImageIndex) -> dict[Digest, bytes]:
    """Return configs and manifests, and the index that names several, by digest."""
    found = {image.digest: image.manifest}
    for one in image.images:
        found |= {one.digest: one.manifest, one.config_digest: one.config}
    return found


def index_json(image: Image | ImageIndex, tag: str | None) -> bytes:
    """Return ``index.json``. The name's annotations are those that Docker and containerd read and write."""
    more: dict[str, object] = {}
    if tag is not None:
        name = ImageName.parse(tag)
        more["annotations"] = {
            "io.containerd.image.name": name.full,
            "org.opencontainers.image.ref.name": name.tag,
        }
    return index_of(image.manifest, more, image.media_type)


def index_of(manifest: bytes, more: Mapping[str, object], media_type: str = MEDIA_MANIFEST) -> bytes:
    """Return the ``index.json`` that names one manifest. ``more``: further members of its descriptor."""
    named = Descriptor(digest=Digest.of(manifest), size=len(manifest), media_type=media_type)
    return canonical.dumps(
        {"manifests": [{**named.members(), **more}], "mediaType": MEDIA_INDEX, "schemaVersion": 2}
    )


def distinct_blobs(image: Image | ImageIndex) -> Iterator[Descriptor]:
    """Yield the blob of each layer, once."""
    seen: set[Digest] = set()
    for layer in (layer for one in image.images for layer in one.layers):
        if layer.blob not in seen:
            seen.add(layer.blob)
            yield descriptor(layer)


def descriptor(layer: Layer) -> Descriptor:
    """Return the descriptor of a layer's blob."""
    return Descriptor(digest=layer.blob, size=layer.size, media_type=layer.media_type)


def in_store(store: Store) -> Blobs:
    """Return where ``store`` has its blobs; one that was damaged there counts as missing."""

    def place(digest: Digest) -> Path | Verified:
        found = store.find(digest)
        return store.path(digest) if found is None else Verified(found)

    return place


def copy_verified(
    blob: Descriptor,
    source: Path | Verified | IO[bytes],
    target: IO[bytes],
    advance: Advance = lambda _: None,
) -> None:
    """Copy a blob, telling ``advance`` of its bytes. Raises IntegrityError when they are not ``blob``'s."""
    if isinstance(source, Verified):
        with open_blob(blob, source) as stream:
            copy(stream, target)
        advance(blob.size)
        return
    for piece in verified_pieces(blob, source):
        target.write(piece)
        advance(len(piece))


def verified_pieces(blob: Descriptor, source: Path | Verified | IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a blob. Raises IntegrityError when all that there were are not ``blob``'s."""
    with open_blob(blob, source) as stream:
        yield from iter(partial(stream.read, CHUNK), b"")


def open_blob(blob: Descriptor, source: Path | Verified | IO[bytes]) -> IO[bytes]:
    """Return a blob's bytes; reading to their end raises IntegrityError when they are not ``blob``'s."""
    if isinstance(source, Verified):
        _check(blob, blob.digest, source.path.stat().st_size)
        return source.path.open("rb")
    return verified(_opened(source, blob.digest), blob.digest, blob.size)


def _opened(source: Path | IO[bytes], digest: Digest) -> IO[bytes]:
    if not isinstance(source, Path):
        return source
    try:
        return source.open("rb")
    except FileNotFoundError as error:
        raise InputError("a layer is missing", where=str(digest)) from error


def _check(blob: Descriptor, digest: Digest, size: int) -> None:
    if (digest, size) != (blob.digest, blob.size):
        raise IntegrityError(
            "a layer has other bytes than the image says",
            expected=f"{blob.digest} ({blob.size} bytes)",
            found=f"{digest} ({size} bytes)",
        )


def _place_blob(blob: Descriptor, source: Path | Verified | IO[bytes], target: Path) -> None:
    """Link the blob where it lies on the same file system and its bytes are right, else copy it."""
    path = source.path if isinstance(source, Verified) else source
    if isinstance(path, Path) and _linked(path, target):
        digest = blob.digest if isinstance(source, Verified) else file_digest(target)
        _check(blob, digest, target.stat().st_size)
        return
    with target.open("wb") as stream:
        copy_verified(blob, source, stream)


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileNotFoundError:
        return False  # the copy tells which layer is missing
    except OSError as error:
        # Another file system, or one that has no hard links or allows them to owners only.
        if error.errno in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES):
            return False
        raise
    return True


def _write_file(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _refuse_other_directory(directory: Path) -> None:
    """Refuse to replace what is not a layout: a mistyped ``-o oci:.`` must not cost a directory."""
    if not directory.exists():
        return
    if not directory.is_dir() or (any(directory.iterdir()) and not (directory / "oci-layout").is_file()):
        raise InputError(
            "will not be replaced",
            where=str(directory),
            expected="an OCI layout, an empty directory or nothing",
            found="something else",
        )
