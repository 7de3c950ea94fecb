"""Which layers of an image a Docker engine has, so that they need not be sent.

Rules kept here:

* An engine knows a layer by all that lies below it (its chain ID, OCI image specification): it has the
  layers that an image of its own begins with.
* Docker's own store opens only the layers of an archive that it has not (``docker load``, since 1.10). For
  containerd's see :mod:`envlock.engines.docker_manifests`. Of other engines that speak its API none is known.
"""

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Final

import docker
from docker.errors import NotFound

from envlock.engines import docker_manifests
from envlock.oci.model import Layer

_ENGINE: Final = "Engine"
"""What Docker calls itself among its components; podman is ``Podman Engine``."""

Chain = tuple[str, ...]
"""The diff IDs of an image's layers, lowest first."""


def chains(client: docker.DockerClient) -> tuple[Chain, ...]:
    """Return the layers of each image that the engine has. Raises as the SDK does."""
    try:
        images = client.images.list()
    except NotFound:  # one was removed a moment ago: what it had may be gone
        return ()
    return tuple(tuple(one.attrs.get("RootFS", {}).get("Layers") or ()) for one in images)


def common(layers: Sequence[Layer], chains: Iterable[Chain]) -> int:
    """Return with how many of ``layers``, lowest first, the best of ``chains`` begins."""
    return max((_begins_with(layers, chain) for chain in chains), default=0)


def opens_what_it_lacks(client: docker.DockerClient) -> bool:
    """Say whether the engine opens only the layers that it has not. Raises as the SDK does."""
    components = client.version().get("Components") or ()
    if all(one.get("Name") != _ENGINE for one in components):
        return False
    return not docker_manifests.are_ids(client)


def _begins_with(layers: Sequence[Layer], chain: Chain) -> int:
    pairs = zip(layers, chain, strict=False)
    return sum(1 for _ in takewhile(lambda pair: str(pair[0].diff_id) == pair[1], pairs))
