"""An image into a registry: its blobs, then its manifest, then proof that it is there.

The manifest goes last, so nobody ever pulls an image that is not whole. What a registry is known to
have of another repository (from an earlier push of this machine) is mounted, not sent.
"""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from envlock.core.digest import Digest
from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.oci.model import MEDIA_MANIFEST, Image
from envlock.oci.registry.client import Repository
from envlock.oci.registry.reference import Reference
from envlock.oci.registry.upload import Blob, iterate, upload
from envlock.runtime.errors import InputError, IntegrityError

_THREADS = 4
_FACTS = "pushed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """The image's digest in the registry, and how much of it had to be sent, in bytes."""

    digest: Digest
    sent: int
    present: int


def push(image: Image, repository: Repository, *, store: Store, progress: Progress) -> Pushed:
    """Push ``image``, whose layers lie in ``store``, under the tag of the repository's reference.

    Raises UnreachableError, InputError for a layer that the store has not, and IntegrityError when the
    registry gives back another manifest than was pushed.
    """
    reference = repository.reference
    blobs = tuple(iterate(tuple(_blobs(image, store))))
    total = sum(blob.size for blob in blobs)
    with progress.task(f"push to {reference}", total, "B") as advance, ThreadPoolExecutor(_THREADS) as pool:

        def send(blob: Blob) -> int:
            sent = upload(repository, blob, advance, _neighbour(blob, reference, store))
            store.remember(_FACTS, _key(blob, reference), {"repository": reference.repository})
            return blob.size if sent else 0

        sent = sum(pool.map(send, blobs))
    _put_manifest(repository, image)
    return Pushed(digest=image.digest, sent=sent, present=total - sent)


def _blobs(image: Image, store: Store) -> Iterator[Blob]:
    yield Blob(digest=image.config_digest, size=len(image.config), open=_memory(image.config))
    for layer in image.layers:
        path = store.find(layer.blob)
        if path is None:
            raise InputError("a layer is not in the store", where=str(layer.blob), hint="build again")
        yield Blob(digest=layer.blob, size=layer.size, open=_file(path))


def _memory(data: bytes) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    return lambda: io.BytesIO(data)


def _file(path: Path) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with path.open("rb") as stream:
            yield stream

    return opened


def _neighbour(blob: Blob, reference: Reference, store: Store) -> str | None:
    """Return another repository of the registry that this machine pushed the blob to."""
    known = (store.fact(_FACTS, _key(blob, reference)) or {}).get("repository")
    return known if isinstance(known, str) and known != reference.repository else None


def _key(blob: Blob, reference: Reference) -> str:
    return f"{reference.registry} {blob.digest}"


def _put_manifest(repository: Repository, image: Image) -> None:
    repository.ask(
        "PUT",
        repository.url(f"manifests/{repository.reference.wanted}"),
        expected=(201,),
        headers={"Content-Type": MEDIA_MANIFEST},
        data=image.manifest,
    )
    pinned = replace(repository.reference, digest=image.digest)
    answer = repository.ask(
        "GET",
        repository.url(f"manifests/{pinned.wanted}"),
        expected=(200,),
        headers={"Accept": MEDIA_MANIFEST},
    )
    found = Digest.of(answer.content)
    if found != image.digest:
        raise IntegrityError(
            "the registry has another image than was pushed",
            where=str(pinned),
            expected=str(image.digest),
            found=str(found),
        )
