"""Into a registry: blobs, then the manifest that names them, then proof that it is there.

The manifest goes last, so nobody ever pulls an image that is not whole. What a registry is known to
have of another repository (from an earlier push of this machine) is mounted, not sent.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import requests

from envlock.core.digest import Digest
from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.oci.model import MEDIA_INDEX, MEDIA_MANIFEST, Image, ImageIndex
from envlock.oci.registry.client import Repository
from envlock.oci.registry.reference import Reference
from envlock.oci.registry.upload import Blob, is_there, iterate, upload
from envlock.runtime.errors import InputError, IntegrityError

Presence = Literal["there", "mount", "send"]

_THREADS = 4
_FACTS = "pushed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """How many bytes of blobs had to be sent, and how many were there."""

    sent: int
    present: int


def push(
    image: Image, repository: Repository, *, store: Store, progress: Progress, wanted: str | None = None
) -> Pushed:
    """Push ``image``, whose layers lie in ``store``, as ``wanted``: by default the reference's tag.

    Raises UnreachableError, InputError for a layer that the store has not, and IntegrityError when the
    registry gives back another manifest than was pushed.
    """
    blobs = (in_memory(image.config), *(in_store(one.blob, one.size, store) for one in image.layers))
    done = push_blobs(blobs, repository, store=store, progress=progress)
    put_manifest(repository, image.manifest, MEDIA_MANIFEST, wanted or repository.reference.wanted)
    return done


def push_index(index: ImageIndex, repository: Repository, *, store: Store, progress: Progress) -> Pushed:
    """Push each image of ``index`` under its digest, then the index under the tag. Raises as :func:`push`."""
    done = [
        push(image, repository, store=store, progress=progress, wanted=str(image.digest))
        for image in index.images
    ]
    put_manifest(repository, index.manifest, MEDIA_INDEX, repository.reference.wanted)
    return Pushed(sent=sum(one.sent for one in done), present=sum(one.present for one in done))


def push_blobs(blobs: Iterable[Blob], repository: Repository, *, store: Store, progress: Progress) -> Pushed:
    """Push what the repository lacks of ``blobs``. Raises UnreachableError."""
    reference = repository.reference
    ordered = tuple(iterate(tuple(blobs)))
    total = sum(blob.size for blob in ordered)
    with progress.task(f"push to {reference}", total, "B") as advance, ThreadPoolExecutor(_THREADS) as pool:

        def send(blob: Blob) -> int:
            sent = upload(repository, blob, advance, neighbour(blob.digest, reference, store))
            store.remember(_FACTS, _key(blob.digest, reference), {"repository": reference.repository})
            return blob.size if sent else 0

        sent = sum(pool.map(send, ordered))
    return Pushed(sent=sent, present=total - sent)


def presence(blob: Digest, repository: Repository, store: Store) -> Presence:
    """Tell what pushing ``blob`` would do; only asks. Raises UnreachableError."""
    if is_there(repository, blob):
        return "there"
    return "send" if neighbour(blob, repository.reference, store) is None else "mount"


def in_memory(data: bytes) -> Blob:
    """Return the blob of these bytes."""
    return Blob(digest=Digest.of(data), size=len(data), open=lambda: io.BytesIO(data))


def in_store(digest: Digest, size: int, store: Store) -> Blob:
    """Return a blob that lies in ``store``. Raises InputError when it does not."""
    path = store.find(digest)
    if path is None:
        raise InputError("a blob is not in the store", where=str(digest), hint="build again")
    return Blob(digest=digest, size=size, open=_file(path))


def put_manifest(repository: Repository, manifest: bytes, media_type: str, wanted: str) -> requests.Response:
    """Store a manifest as ``wanted`` and read it back; return the answer that it was stored with."""
    done = repository.ask(
        "PUT",
        repository.url(f"manifests/{wanted}"),
        expected=(201,),
        headers={"Content-Type": media_type},
        data=manifest,
    )
    expected = Digest.of(manifest)
    answer = repository.ask(
        "GET", repository.url(f"manifests/{expected}"), expected=(200,), headers={"Accept": media_type}
    )
    found = Digest.of(answer.content)
    if found != expected:
        raise IntegrityError(
            "the registry has another manifest than was pushed",
            where=f"{repository.reference.name}@{expected}",
            expected=str(expected),
            found=str(found),
        )
    return done


def _file(path: Path) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with path.open("rb") as stream:
            yield stream

    return opened


def neighbour(digest: Digest, reference: Reference, store: Store) -> str | None:
    """Return another repository of the registry that this machine pushed the blob to."""
    known = (store.fact(_FACTS, _key(digest, reference)) or {}).get("repository")
    return known if isinstance(known, str) and known != reference.repository else None


def _key(digest: Digest, reference: Reference) -> str:
    return f"{reference.registry} {digest}"
