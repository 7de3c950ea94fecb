"""``-o registry:REFERENCE``: images and the documents about them, to a registry."""

import os
from collections.abc import Sequence

from envlock.cli.product import Product, combined
from envlock.core.digest import Digest
from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.oci.artifact import EMPTY
from envlock.oci.model import ImageIndex
from envlock.oci.registry import push as pushing
from envlock.oci.registry import referrers
from envlock.oci.registry.client import Repository, connected
from envlock.oci.registry.reference import Reference
from envlock.oci.registry.upload import is_there


def reach(target: str, progress: Progress, ca_bundle: str | None) -> None:
    """Raise UnreachableError where the registry of ``target`` does not answer, or knows no such login."""
    with connected(Reference.parse(target), os.environ, ca_bundle, progress) as repository:
        is_there(repository, Digest.of(EMPTY))


def push(
    products: Sequence[Product], target: str, store: Store, progress: Progress, ca_bundle: str | None
) -> None:
    """Push what ``target`` lacks of the products, their documents under them."""
    with connected(Reference.parse(target), os.environ, ca_bundle, progress) as repository:
        _push(products, repository, store, progress)


def _push(products: Sequence[Product], repository: Repository, store: Store, progress: Progress) -> None:
    image = combined(products)
    if isinstance(image, ImageIndex):
        pushed = pushing.push_index(image, repository, store=store, progress=progress)
    else:
        pushed = pushing.push(image, repository, store=store, progress=progress)
    for product in products:
        for one in product.attachments:
            about = product.image
            referrers.attach(one.artifact(about), about.digest, (one.data,), repository, store)
    progress.note(f"pushed {pushed.sent / 1e6:.1f} MB; {pushed.present / 1e6:.1f} MB were there")
