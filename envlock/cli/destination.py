"""Where ``envlock build`` puts an image and what is told about it.

``oci:DIR``, ``oci-archive:FILE``, ``docker-archive:FILE``, ``docker:TAG`` or ``registry:REFERENCE``.

The two archive kinds are one file format, which is both (envlock/oci/archive.py). A bill of materials and
provenance are listed under the image in a registry, and lie beside a directory or file: ``FILE.cdx.json``.
An engine keeps none.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from envlock.core.progress import Progress
from envlock.engines import docker
from envlock.host.files import atomic_write
from envlock.host.store import Store
from envlock.image.attachments import Attachment
from envlock.oci import archive, layout
from envlock.oci.model import Image
from envlock.oci.registry import referrers
from envlock.oci.registry.client import Repository, connected
from envlock.oci.registry.push import push
from envlock.oci.registry.reference import Reference
from envlock.runtime.errors import UsageError

Kind = Literal["oci", "oci-archive", "docker-archive", "docker", "registry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """An image, and the documents about it."""

    image: Image
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A place. ``target`` is a path, the tag in a Docker engine, or the name in a registry."""

    kind: Kind
    target: str

    def __str__(self) -> str:
        """Return the text that :func:`parse_destination` reads."""
        return f"{self.kind}:{self.target}"

    def write(
        self,
        product: Product,
        store: Store,
        tag: str | None,
        progress: Progress,
        ca_bundle: str | None = None,
    ) -> None:
        """Put ``product`` there, whole or not at all. ``tag`` names it inside a layout or an archive."""
        if self.kind == "registry":
            with connected(Reference.parse(self.target), os.environ, ca_bundle) as repository:
                _push(product, repository, store, progress)
            return
        image = product.image
        with progress.task(f"write {self}", None):
            match self.kind:
                case "oci":
                    layout.write(image, store.path, Path(self.target), tag)
                case "oci-archive" | "docker-archive":
                    archive.write(image, store.path, Path(self.target), tag)
                case "docker":
                    docker.load(image, store.path, self.target)
                    return
            for attachment in product.attachments:
                with atomic_write(Path(f"{self.target}.{attachment.suffix}")) as stream:
                    stream.write(attachment.data)


def _push(product: Product, repository: Repository, store: Store, progress: Progress) -> None:
    pushed = push(product.image, repository, store=store, progress=progress)
    for one in product.attachments:
        referrers.attach(one.artifact(product.image), product.image.digest, (one.data,), repository, store)
    progress.note(f"pushed {pushed.sent / 1e6:.1f} MB; {pushed.present / 1e6:.1f} MB were there")


def parse_destination(text: str) -> Destination:
    """Read ``KIND:TARGET``. Raises UsageError, or InputError for a name that no registry takes."""
    for kind in get_args(Kind):
        if text.startswith(f"{kind}:") and text != f"{kind}:":
            if kind == "registry":
                # A name that no registry takes is told before an image is built for it.
                Reference.parse(text.removeprefix("registry:"))
            return Destination(kind=kind, target=text.removeprefix(f"{kind}:"))
    raise UsageError(
        "not a place for an image",
        where=f"-o {text}",
        expected="oci:DIR, oci-archive:FILE, docker-archive:FILE, docker:TAG or registry:REFERENCE",
        found=repr(text),
    )
