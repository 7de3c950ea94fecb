"""A lock with what no index has, as one file for another machine (docs/export.md, "Bundles").

Rules kept here:

* A bundle is an OCI artifact: the lock, the base's layers, and the wheels that lie beside the lock;
  on request all wheels. Titles are the places beside the lock, so a tool that unpacks by title makes
  the directory in which ``envlock build`` works.
* The same lock gives the same bundle, whatever the lockfile is called and wherever it lies.
* What a bundle brings goes into the store under its digest, and only when its bytes have it.
"""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

from envlock.core.digest import Digest
from envlock.core.progress import Advance, Progress
from envlock.host.store import HashingWriter, Store
from envlock.image.base_copies import BLOBS
from envlock.lock import codec
from envlock.lock.identity import environment_id
from envlock.lock.model import Lock
from envlock.oci import artifact
from envlock.oci.artifact import Artifact, ArtifactFile, open_artifact
from envlock.oci.document import Descriptor
from envlock.runtime.errors import EnvlockError, InputError, IntegrityError
from envlock.wheels.sidecar import DIRECTORY

ARTIFACT_TYPE: Final = "application/vnd.envlock.bundle.v1"
MEDIA_LOCK: Final = "application/vnd.envlock.lock.v1+toml"
MEDIA_WHEEL: Final = "application/vnd.envlock.wheel.v1+zip"
LOCK_TITLE: Final = "pylock.envlock.toml"

_AGAIN: Final = "`envlock export --bundle FILE` writes one; if this is one, it was damaged: bring it again"
_LARGEST_LOCK: Final = 64 << 20
_THREADS: Final = 4


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


class Carrier(Protocol):
    """An opened artifact, on disk or in a registry."""

    @property
    def artifact(self) -> Artifact:
        """What it is and which files it has."""
        ...

    @property
    def where(self) -> str:
        """Its name in errors."""
        ...

    def copy(self, file: ArtifactFile, sink: HashingWriter, advance: Advance) -> None:
        """Write a file's bytes to ``sink``, right ones or wrong ones."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle, and its own lock."""

    carrier: Carrier
    lock: Lock
    lock_bytes: bytes

    def supply(self, lock: Lock, store: Store, progress: Progress) -> None:
        """See to it that ``store`` has everything of ``lock`` that this bundle brings.

        Raises IntegrityError for a file with other bytes than the bundle says; that one is not kept.
        """
        wanted = {layer.blob for layer in lock.base.layers}
        wanted |= {package.wheel.sha256 for package in lock.packages}
        brought = {file.blob.digest: file for file in self.carrier.artifact.files}
        lacking = [
            brought[digest] for digest in sorted(wanted & brought.keys()) if store.find(digest) is None
        ]
        total = sum(one.blob.size for one in lacking)
        with (
            progress.task("unpacking the bundle", total, "B") as advance,
            ThreadPoolExecutor(_THREADS) as pool,
        ):
            list(pool.map(lambda file: _import(self.carrier, file, store, advance), lacking))


def open_bundle(reference: str) -> Bundle:
    """Open a bundle on disk: its path, ``oci-archive:FILE``, or ``oci:DIR`` as other tools unpack one.

    Raises InputError for a file that is none, or is not whole, and IntegrityError for one whose manifest
    or lock was altered.
    """
    try:
        carrier = open_artifact(reference, ARTIFACT_TYPE)
    except EnvlockError as error:
        raise _told(error, reference) from error
    return read(carrier)


def read(carrier: Carrier) -> Bundle:
    """Return the bundle that an opened artifact is. Raises as :func:`open_bundle` does."""
    try:
        data = _lock_bytes(carrier)
    except (InputError, IntegrityError) as error:
        raise _told(error, carrier.where) from error
    lock = codec.loads(data, f"{carrier.where}: {LOCK_TITLE}")
    return Bundle(carrier=carrier, lock=lock, lock_bytes=data)


def _file(title: str, digest: Digest, size: int, media_type: str) -> ArtifactFile:
    return ArtifactFile(title=title, blob=Descriptor(digest=digest, size=size, media_type=media_type))


def _lock_bytes(carrier: Carrier) -> bytes:
    locks = [file for file in carrier.artifact.files if file.blob.media_type == MEDIA_LOCK]
    if len(locks) != 1 or locks[0].blob.size > _LARGEST_LOCK:
        raise InputError("not one lock", where=carrier.where, found=f"{len(locks)}")
    buffer = io.BytesIO()
    sink = HashingWriter(buffer)
    carrier.copy(locks[0], sink, lambda _: None)
    if sink.digest != locks[0].blob.digest:
        raise IntegrityError(
            "the lock has other bytes than its name says",
            where=carrier.where,
            expected=str(locks[0].blob.digest),
            found=str(sink.digest),
        )
    return buffer.getvalue()


def _import(carrier: Carrier, file: ArtifactFile, store: Store, advance: Advance) -> None:
    try:
        with store.writing(file.blob.digest) as sink:
            carrier.copy(file, sink, advance)
    except IntegrityError as error:
        raise _told(error, f"{carrier.where}: {file.title}") from error


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
