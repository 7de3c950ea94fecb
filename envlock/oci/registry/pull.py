"""Images and artifacts out of a registry: every byte held to the digest that named it."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import requests

from envlock.core.digest import Digest
from envlock.core.progress import Advance, Progress
from envlock.host import http
from envlock.host.store import HashingWriter, Store
from envlock.oci import artifact, document
from envlock.oci.artifact import Artifact, ArtifactFile
from envlock.oci.model import MEDIA_INDEX, MEDIA_MANIFEST
from envlock.oci.reader import OpenedImage
from envlock.oci.registry.client import Repository
from envlock.oci.registry.reference import parse_digest
from envlock.oci.source import DirectorySource
from envlock.runtime.errors import InputError, IntegrityError

_ACCEPTED: Final = (
    MEDIA_MANIFEST,
    MEDIA_INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_INDEXES: Final = frozenset(_ACCEPTED[1::2])
_THREADS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteArtifact:
    """An artifact in a registry, whose files are fetched as they are asked for."""

    artifact: Artifact
    repository: Repository

    @property
    def where(self) -> str:
        """Its name in errors."""
        return f"registry:{self.repository.reference}"

    def copy(self, file: ArtifactFile, sink: HashingWriter, advance: Advance) -> None:
        """Write a file's bytes to ``sink``. Raises InputError when they are not there, UnreachableError.

        Whether they are the right ones is for the sink's digest to tell.
        """
        _receive(self.repository, file.blob.digest, sink, advance)


def open_remote(repository: Repository, artifact_type: str) -> RemoteArtifact:
    """Return the artifact that the reference names. Raises InputError when it is another kind of thing."""
    manifest, _ = _document(repository, repository.reference.wanted, repository.reference.digest)
    found = artifact.parse(manifest, f"registry:{repository.reference}", artifact_type)
    return RemoteArtifact(artifact=found, repository=repository)


def pull(repository: Repository, *, platform: str, store: Store, progress: Progress) -> OpenedImage:
    """Return the image; its layers are then in ``store``. ``platform``, ``linux/amd64``, picks in an index.

    Raises InputError for an image that is not there or not for the platform, UnreachableError, and
    IntegrityError for bytes that are not those of their digest.
    """
    manifest = _manifest(repository, platform)
    where = str(repository.reference)
    config = _small(repository, document.descriptor(document.parse(manifest, where).get("config"), where))
    image = document.image(manifest, config)
    fetch(repository, {layer.blob: layer.size for layer in image.layers}, store=store, progress=progress)
    places = {layer.blob: f"blobs/sha256/{layer.blob.hex}" for layer in image.layers}
    return OpenedImage(image=image, source=DirectorySource(store.root), places=places)


def fetch(repository: Repository, blobs: Mapping[Digest, int], *, store: Store, progress: Progress) -> None:
    """See to it that ``store`` has each of ``blobs`` (digest → bytes). Raises as :func:`pull`."""
    task = progress.task(f"pull {repository.reference}", sum(blobs.values()), "B")
    with task as advance, ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda blob: _fetch(repository, blob, blobs[blob], store, advance), blobs))


def _manifest(repository: Repository, platform: str) -> bytes:
    data, media_type = _document(repository, repository.reference.wanted, repository.reference.digest)
    if media_type not in _INDEXES:
        return data
    where = str(repository.reference)
    chosen = _for_platform(document.parse(data, where), platform, where)
    return _document(repository, str(chosen), chosen)[0]


def _document(repository: Repository, wanted: str, expected: Digest | None) -> tuple[bytes, str]:
    answer = repository.ask(
        "GET",
        repository.url(f"manifests/{wanted}"),
        expected=(200,),
        headers={"Accept": ", ".join(_ACCEPTED)},
    )
    where = str(repository.reference)
    stated = answer.headers.get("Docker-Content-Digest")
    expected = expected or (parse_digest(stated, where) if stated else None)
    _check(answer.content, expected, where)
    kind = document.parse(answer.content, where).get("mediaType")
    return answer.content, str(kind or answer.headers.get("Content-Type", ""))


def _for_platform(index: Mapping[str, object], platform: str, where: str) -> Digest:
    offered: dict[str, Digest] = {}
    for one in document.manifests(index, where):
        if one.platform:
            offered.setdefault(one.platform, one.digest)
    if platform not in offered:
        raise InputError(
            "the image is not there for this platform",
            where=where,
            expected=platform,
            found=", ".join(sorted(offered)) or "none",
        )
    return offered[platform]


def _small(repository: Repository, wanted: document.Descriptor) -> bytes:
    answer = repository.ask("GET", repository.url(f"blobs/{wanted.digest}"), expected=(200,))
    _check(answer.content, wanted.digest, str(repository.reference))
    return answer.content


def _fetch(repository: Repository, digest: Digest, size: int, store: Store, advance: Advance) -> None:
    if store.find(digest) is not None:
        advance(size)
        return
    with store.writing(digest) as sink:
        _receive(repository, digest, sink, advance)


def _receive(repository: Repository, digest: Digest, sink: HashingWriter, advance: Advance) -> None:
    where = repository.url(f"blobs/{digest}")

    def ask(headers: Mapping[str, str]) -> requests.Response:
        return repository.ask("GET", where, expected=(200, 206), headers=headers, stream=True)

    try:
        http.receive(ask, sink, advance)
    except requests.RequestException as error:
        raise repository.unreachable(http.reason(error)[0]) from error


def _check(data: bytes, expected: Digest | None, where: str) -> None:
    found = Digest.of(data)
    if expected is not None and found != expected:
        raise IntegrityError(
            "the registry gives other bytes than it names",
            where=where,
            expected=str(expected),
            found=str(found),
        )
