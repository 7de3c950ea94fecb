"""A lock with what no index has, as one file for another machine (docs/export.md, "Bundles").

Rules kept here:

* A bundle is an OCI artifact: the lock, the base's layers, and the wheels that lie beside the lock;
  on request all wheels. Titles are the places beside the lock, so a tool that unpacks by title makes
  the directory in which ``envlock build`` works.
* The same lock gives the same bundle, whatever the lockfile is called and wherever it lies.
* What a bundle brings goes into the store under its digest, and only when its bytes have it.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from envlock.core.digest import Digest
from envlock.core.progress import Advance, Progress
from envlock.host.files import CHUNK
from envlock.host.store import Store
from envlock.image.base_copies import BLOBS
from envlock.lock import codec
from envlock.lock.identity import environment_id
from envlock.lock.model import Lock
from envlock.oci import artifact
from envlock.oci.artifact import Artifact, ArtifactFile, OpenedArtifact
from envlock.oci.document import Descriptor
from envlock.runtime.errors import EnvlockError, InputError, IntegrityError
from envlock.wheels.sidecar import DIRECTORY

ARTIFACT_TYPE: Final = "application/vnd.envlock.bundle.v1"
MEDIA_LOCK: Final = "application/vnd.envlock.lock.v1+toml"
MEDIA_WHEEL: Final = "application/vnd.envlock.wheel.v1+zip"
LOCK_TITLE: Final = "pylock.envlock.toml"

_AGAIN: Final = "`envlock export --bundle FILE` writes one; if this is one, it was damaged: copy it again"
_LARGEST_LOCK: Final = 64 << 20


def compose(lock: Lock, lock_bytes: bytes, *, all_wheels: bool) -> Artifact:
    """Return the bundle of ``lock``, whose file has ``lock_bytes``; ``all_wheels``: those of indexes too."""
    files = [_file(LOCK_TITLE, Digest.of(lock_bytes), len(lock_bytes), MEDIA_LOCK)]
    layers = {layer.blob: layer for layer in lock.base.layers}
    files += [
        _file((BLOBS / one.blob.hex).as_posix(), one.blob, one.size, one.media_type)
        for one in layers.values()
    ]
    for package in sorted(lock.packages, key=lambda one: one.name):
        wheel = package.wheel
        if all_wheels or wheel.path is not None:
            title = wheel.path or f"{DIRECTORY}/wheels/{wheel.name}"
            files.append(_file(title, wheel.sha256, wheel.size, MEDIA_WHEEL))
    return Artifact(
        artifact_type=ARTIFACT_TYPE,
        files=tuple(files),
        annotations=(("dev.envlock.environment-id", str(environment_id(lock))),),
    )


def write(bundle: Artifact, lock_bytes: bytes, store: Store, file: Path, progress: Progress) -> None:
    """Write ``bundle`` to ``file``; its wheels and layers lie in ``store``.

    Raises IntegrityError when one was damaged there since.
    """
    own = Digest.of(lock_bytes)

    def place(digest: Digest) -> Path | IO[bytes]:
        return io.BytesIO(lock_bytes) if digest == own else store.path(digest)

    with progress.task("writing the bundle", bundle.size, "B") as advance:
        artifact.write(bundle, place, file, advance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle on disk, and its own lock."""

    opened: OpenedArtifact
    lock: Lock
    lock_bytes: bytes

    def supply(self, lock: Lock, store: Store, progress: Progress) -> None:
        """See to it that ``store`` has everything of ``lock`` that this bundle brings.

        Raises IntegrityError for a file with other bytes than the bundle says; that one is not kept.
        """
        wanted = {layer.blob for layer in lock.base.layers}
        wanted |= {package.wheel.sha256 for package in lock.packages}
        brought = {file.blob.digest: file for file in self.opened.artifact.files}
        lacking = [
            brought[digest] for digest in sorted(wanted & brought.keys()) if store.find(digest) is None
        ]
        with progress.task("unpacking the bundle", sum(one.blob.size for one in lacking), "B") as advance:
            for file in lacking:
                _import(self.opened, file, store, advance)


def open_bundle(reference: str) -> Bundle:
    """Open a bundle: its path, ``oci-archive:FILE``, or ``oci:DIR`` as other tools unpack one.

    Raises InputError for a file that is none, or is not whole, and IntegrityError for one whose manifest
    or lock was altered.
    """
    try:
        opened = artifact.open_artifact(reference, ARTIFACT_TYPE)
        data = _lock_bytes(opened)
    except EnvlockError as error:
        raise _told(error, reference) from error
    lock = codec.loads(data, f"{reference}: {LOCK_TITLE}")
    return Bundle(opened=opened, lock=lock, lock_bytes=data)


def _file(title: str, digest: Digest, size: int, media_type: str) -> ArtifactFile:
    return ArtifactFile(title=title, blob=Descriptor(digest=digest, size=size, media_type=media_type))


def _lock_bytes(opened: OpenedArtifact) -> bytes:
    locks = [file for file in opened.artifact.files if file.blob.media_type == MEDIA_LOCK]
    if len(locks) != 1 or locks[0].blob.size > _LARGEST_LOCK:
        raise InputError("not one lock", where=opened.source.where, found=f"{len(locks)}")
    return b"".join(_pieces(opened, locks[0]))


def _import(opened: OpenedArtifact, file: ArtifactFile, store: Store, advance: Advance) -> None:
    try:
        with store.writing(file.blob.digest) as sink:
            for piece in _pieces(opened, file):
                sink.write(piece)
                advance(len(piece))
    except IntegrityError as error:
        raise _told(error, f"{opened.source.where}: {file.title}") from error


def _pieces(opened: OpenedArtifact, file: ArtifactFile) -> Iterator[bytes]:
    with opened.open_file(file) as stream:
        while piece := stream.read(CHUNK):
            yield piece


def _told(error: EnvlockError, where: str) -> EnvlockError:
    """Return ``error`` as one of the bundle's."""
    kind = IntegrityError if isinstance(error, IntegrityError) else InputError
    return kind(
        f"not a whole bundle: {error.what}",
        where=error.where or where,
        expected=error.expected,
        found=error.found,
        hint=_AGAIN,
    )
