"""One lock to one image: its parts brought together, assembled, proven, and the documents about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from envlock.cli import inputs
from envlock.cli.inputs import Network, Source
from envlock.cli.product import Product
from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.image import attachments, base_copies, missing
from envlock.image.assemble import assemble
from envlock.image.bundle import Bundle
from envlock.image.plan import BuildOptions
from envlock.image.project import ProjectTree
from envlock.oci.model import Image, Made


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for."""

    source: Source
    settings: BuildOptions
    network: Network
    bundle: Bundle | None
    project: ProjectTree | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """What is wanted about an image besides the image."""

    sbom: bool
    provenance: bool
    proof: bool


def build(
    request: Request, wanted: Documents, store: Store, progress: Progress, made: Made = lambda _: None
) -> Product:
    """Build the image into ``store``, and make what is wanted about it.

    ``made`` is told the layers as :func:`envlock.image.assemble.assemble` does it. Raises as fetching,
    assembling and verifying do.
    """
    source = request.source
    wheels = gathered(request, store, progress)
    image = _assemble(request, wheels, store, progress, made)
    proof = None
    if wanted.proof:
        from envlock.cli import verification  # noqa: PLC0415 # most builds need none

        proof = verification.verify(
            image,
            source.lock,
            wheels,
            store,
            progress,
            lambda fresh: _assemble(request, wheels, fresh, progress),
        )
    documents = [attachments.bill(source.lock, image)] if wanted.sbom else []
    if wanted.provenance:
        documents.append(attachments.statement(source.lock, source.data, image, request.settings))
    return Product(image=image, platform=source.lock.platform, attachments=tuple(documents), proof=proof)


def gathered(request: Request, store: Store, progress: Progress) -> dict[str, Path]:
    """Bring together in the store what the image is made of; return the wheels."""
    source = request.source
    if request.bundle is not None:
        request.bundle.supply(source.lock, store, progress)
    lacking = missing.missing(source.lock, store, source.directory, offline=request.network.offline)
    missing.refuse(lacking)
    if source.lock.base.reference is not None:
        from envlock.engines import foreign  # noqa: PLC0415 # most builds need no registry

        foreign.bring(source.lock.base, store, progress, request.network.ca_bundle)
    return inputs.wheels(
        source, source.lock.packages, store=store, network=request.network, progress=progress
    )


def _assemble(
    request: Request,
    wheels: Mapping[str, Path],
    store: Store,
    progress: Progress,
    made: Made = lambda _: None,
) -> Image:
    """Assemble the image in the store."""
    source = request.source
    base_copies.bring(source.lock.base, store, source.directory)
    return assemble(
        source.lock,
        lock_bytes=source.data,
        wheels=wheels,
        store=store,
        options=request.settings,
        progress=progress,
        project=request.project,
        made=made,
    )
