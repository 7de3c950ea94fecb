"""What is known of the images in Docker's containerd store: the manifests that envlock sent.

Rules kept here:

* With that store, the default since Docker 29, an image's ID is the digest of its manifest, or of its index.
  The engine's API tells neither the config's digest nor which blobs it has; both stand in the manifest.
* So the manifest of each image that is sent there is kept, and found again by the ID. Of other images nothing
  is known.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import docker
from docker.errors import NotFound

from envlock.core.digest import Digest
from envlock.host.store import Store
from envlock.oci import document
from envlock.oci.model import Image
from envlock.runtime.errors import InputError, UnreachableError

_DRIVER_TYPE: Final = "driver-type"
"""The fact by which Docker tells that containerd keeps its images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Digests of the blobs of an image that an engine was sent."""

    config: Digest
    layers: frozenset[Digest]


def are_ids(client: docker.DockerClient) -> bool:
    """Say whether the engine's image IDs are digests of manifests. Raises as the SDK does."""
    return any(name == _DRIVER_TYPE for name, *_ in client.info().get("DriverStatus") or ())


def listed(client: docker.DockerClient, store: Store) -> Mapping[Digest, Sent]:
    """Return what was sent of the images that the engine has whole. Raises as the SDK does."""
    try:
        images = client.images.list()  # with containerd's store, only those of which no blob is lacking
    except NotFound:  # one was removed a moment ago: what it had may be gone
        return {}
    found = {one: sent(one, store) for one in (Digest.parse(str(image.id)) for image in images)}
    return {manifest: one for manifest, one in found.items() if one is not None}


def sent(manifest: Digest, store: Store) -> Sent | None:
    """Return what the manifest lists, where envlock sent it."""
    path = store.find(manifest)
    if path is None:
        return None
    where = str(manifest)
    members = document.parse(path.read_bytes(), where)
    layers = document.read_array(members.get("layers"), f"{where}: layers")
    return Sent(
        config=document.descriptor(members.get("config"), f"{where}: config").digest,
        layers=frozenset(document.descriptor(layer, f"{where}: layers").digest for layer in layers),
    )


def remember(image: Image, store: Store) -> None:
    """Keep the manifest of ``image``, which an engine was sent, if the store can be written."""
    with suppress(InputError, UnreachableError, OSError):
        if store.find(image.digest) is None:
            with store.writing(image.digest) as sink:
                sink.write(image.manifest)
