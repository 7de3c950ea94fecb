"""What is attached to an image in a registry: artifacts whose manifests name it as their subject.

Source: OCI distribution-spec 1.1, "Pushing manifests with subject" and "Referrers tag schema". A
registry that lists referrers itself says so with the header OCI-Subject. For one that does not, the
list is an index under the tag ``sha256-<hex>``, which whoever attaches something brings up to date.
"""

from typing import Final

from envlock.core import canonical
from envlock.core.digest import Digest
from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.oci import document
from envlock.oci.artifact import EMPTY, Artifact
from envlock.oci.document import Descriptor, Members
from envlock.oci.model import MEDIA_INDEX, MEDIA_MANIFEST
from envlock.oci.registry import push
from envlock.oci.registry.client import Repository
from envlock.runtime.errors import InputError

_OK: Final = 200
_NOT_FOUND: Final = 404


def attach(
    artifact: Artifact, subject: Digest, contents: tuple[bytes, ...], repository: Repository, store: Store
) -> Digest:
    """Push ``artifact``, which is about ``subject`` and has the files ``contents``; return its digest.

    Raises as :func:`envlock.oci.registry.push.push` does, and InputError where the tag that should list
    the referrers names something else.
    """
    blobs = [push.in_memory(data) for data in (EMPTY, *contents)]
    push.push_blobs(blobs, repository, store=store, progress=Silent())
    digest = Digest.of(artifact.manifest)
    done = push.put_manifest(repository, artifact.manifest, MEDIA_MANIFEST, str(digest))
    if "OCI-Subject" not in done.headers:
        _list_by_tag(artifact, subject, repository)
    return digest


def _list_by_tag(artifact: Artifact, subject: Digest, repository: Repository) -> None:
    """Add ``artifact`` to the index under the subject's tag, unless it is there."""
    tag = f"sha256-{subject.hex}"
    listed = _listed(tag, repository)
    own = _entry(artifact)
    if any(document.descriptor(one, tag).digest == Digest.of(artifact.manifest) for one in listed):
        return
    index = canonical.dumps({"manifests": [*listed, own], "mediaType": MEDIA_INDEX, "schemaVersion": 2})
    push.put_manifest(repository, index, MEDIA_INDEX, tag)


def _listed(tag: str, repository: Repository) -> list[object]:
    answer = repository.ask(
        "GET",
        repository.url(f"manifests/{tag}"),
        expected=(_OK, _NOT_FOUND),
        # An image too, so that a registry does not hide one there.
        headers={"Accept": f"{MEDIA_INDEX}, {MEDIA_MANIFEST}"},
    )
    if answer.status_code == _NOT_FOUND:
        return []
    where = f"{repository.reference.name}:{tag}"
    manifests = document.parse(answer.content, where).get("manifests")
    if not isinstance(manifests, list):
        raise InputError(
            "the tag for what is attached to an image is in other use", where=where, expected="an index"
        )
    return manifests


def _entry(artifact: Artifact) -> Members:
    """Return the descriptor of ``artifact`` with what a list of referrers tells of each."""
    manifest = artifact.manifest
    described = Descriptor(digest=Digest.of(manifest), size=len(manifest), media_type=MEDIA_MANIFEST)
    told = {"annotations": dict(artifact.annotations)} if artifact.annotations else {}
    return {**described.members(), "artifactType": artifact.artifact_type, **told}
