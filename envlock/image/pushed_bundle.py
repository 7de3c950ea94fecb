"""Bundles in a registry: what :mod:`envlock.image.bundle` does with files, done through a connection."""

from envlock.core.digest import Digest
from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.image.bundle import ARTIFACT_TYPE, Bundle, read
from envlock.oci.artifact import EMPTY, Artifact
from envlock.oci.model import MEDIA_MANIFEST
from envlock.oci.registry.client import Repository
from envlock.oci.registry.pull import open_remote
from envlock.oci.registry.push import Pushed, in_memory, in_store, push_blobs, put_manifest


def push(
    bundle: Artifact, lock_bytes: bytes, repository: Repository, store: Store, progress: Progress
) -> Pushed:
    """Push ``bundle`` under the repository's tag. Raises as :func:`envlock.oci.registry.push.push` does."""
    own = Digest.of(lock_bytes)
    blobs = [
        in_memory(lock_bytes) if one.blob.digest == own else in_store(one.blob.digest, one.blob.size, store)
        for one in bundle.files
    ]
    pushed = push_blobs([in_memory(EMPTY), *blobs], repository, store=store, progress=progress)
    put_manifest(repository, bundle.manifest, MEDIA_MANIFEST, repository.reference.wanted)
    return pushed


def open_pushed(repository: Repository) -> Bundle:
    """Open the bundle that the reference names.

    Raises as :func:`envlock.image.bundle.open_bundle` does, and UnreachableError.
    """
    return read(open_remote(repository, ARTIFACT_TYPE))
