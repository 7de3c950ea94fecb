"""Opening an image by its reference: ``registry:HOST/NAME:TAG``, or one on this disk."""

import os

from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.oci.name import typed
from envlock.oci.reader import OpenedImage, open_image
from envlock.oci.registry.client import connected
from envlock.oci.registry.pull import pull
from envlock.oci.registry.reference import SCHEME, Reference

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def own_platform() -> str:
    """Return the OCI platform of this machine, ``linux/amd64``."""
    machine = os.uname().machine
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


def open_named(reference: str, store: Store, progress: Progress, ca_bundle: str | None = None) -> OpenedImage:
    """Return an image of a registry or of this disk.

    Raises UsageError for a name that no registry takes, and as what opens it does.
    """
    if reference.startswith(SCHEME):
        return _pulled(reference, store, progress, ca_bundle)
    return open_image(reference, own_platform())


def _pulled(reference: str, store: Store, progress: Progress, ca_bundle: str | None) -> OpenedImage:
    """Pull an image into the store and return it; only layers that are not there travel."""
    with typed(reference):
        named = Reference.parse(reference.removeprefix(SCHEME))
    with connected(named, os.environ, ca_bundle, progress) as repository:
        return pull(repository, platform=own_platform(), store=store, progress=progress)
