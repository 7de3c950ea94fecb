"""Which layers of an image a Docker engine has, so that they need not be sent.

Rules kept here:

* An engine knows a layer by all that lies below it (its chain ID, OCI image specification): it has the
  layers that an image of its own begins with.
* Docker's own store opens only the layers of an archive that it has not (``docker load``, since 1.10). Its
  containerd store wants every blob, and so do other engines that speak its API: of these, none is known.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Final

import docker
from docker.errors import NotFound

from envlock.oci.model import Image, Layer

_ENGINE: Final = "Engine"
"""What Docker calls itself among its components; podman is ``Podman Engine``."""
_DRIVER_TYPE: Final = "driver-type"
"""The fact by which Docker tells that containerd keeps its images."""


def held(client: docker.DockerClient, image: Image) -> int:
    """Return how many of the lowest layers the engine has. Raises as the SDK does."""
    try:
        images = client.images.list()
    except NotFound:  # one was removed a moment ago: what it had may be gone
        return 0
    known = [one.attrs.get("RootFS", {}).get("Layers") or () for one in images]
    return max((_common(image.layers, one) for one in known), default=0)


def opens_what_it_lacks(client: docker.DockerClient) -> bool:
    """Say whether the engine opens only the layers that it has not. Raises as the SDK does."""
    components = client.version().get("Components") or ()
    if all(one.get("Name") != _ENGINE for one in components):
        return False
    return all(name != _DRIVER_TYPE for name, *_ in client.info().get("DriverStatus") or ())


def _common(layers: Sequence[Layer], others: Sequence[str]) -> int:
    """Return with how many layers both begin."""
    pairs = zip(layers, others, strict=False)
    return sum(1 for _ in takewhile(lambda pair: str(pair[0].diff_id) == pair[1], pairs))
