"""``envlock build``: a lockfile → an OCI image."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from rich.table import Table

from envlock.cli import inputs, options, terminal, verification
from envlock.cli.destination import Destination, Product, parse_destination
from envlock.cli.inputs import Network, Source
from envlock.cli.verification import Verification
from envlock.core.progress import Progress
from envlock.engines import docker, foreign
from envlock.engines.pulled import SCHEME
from envlock.host.store import Store
from envlock.image import attachments, dockerfile, missing
from envlock.image import project as project_tree
from envlock.image.assemble import assemble
from envlock.image.bundle import Bundle, open_bundle, open_pushed
from envlock.image.plan import DEFAULT_CREATED, BuildOptions, ImagePlan, Isa, plan
from envlock.image.project import ProjectTree
from envlock.image.runtime import runtime_files
from envlock.oci.model import Image
from envlock.oci.registry.client import connected
from envlock.oci.registry.reference import Reference
from envlock.runtime.errors import UsageError
from envlock.wheels import sidecar

DEFAULT_IMAGE = Path(".envlock") / "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for."""

    source: Source
    settings: BuildOptions
    network: Network
    bundle: Bundle | None
    project: ProjectTree | None = None


@click.command(short_help="Turn a lockfile into an OCI image, without a daemon.")
@click.argument("lock", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option(
    "--from",
    "bundle_reference",
    metavar="BUNDLE",
    help="A file that `envlock export --bundle` wrote, or registry:NAME:TAG, to take what is not here; "
    "without LOCK, its lock too.",
)
@click.option("-t", "--tag", help="A name for the image; loaded into Docker under it if an engine answers.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="DEST",
    help="oci:DIR, oci-archive:FILE, docker-archive:FILE, docker:TAG or registry:NAME:TAG; may be given more "
    "than once (default: oci:.envlock/image beside the lock, where `envlock run` finds it).",
)
@click.option("--plan", "only_plan", is_flag=True, help="Show the layers and write nothing.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads of every numeric library (default: the lock's cores).",
)
@click.option(
    "--isa",
    type=click.Choice(["portable", "native"]),
    default="portable",
    show_default=True,
    help="portable: CPU kernels that any x86-64-v3 host has; native: the fastest of each host.",
)
@click.option(
    "--bytecode/--no-bytecode",
    default=True,
    show_default=True,
    help="Compile the wheels' Python with the image's own interpreter; without it, each process does at "
    "its start.",
)
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Put the code in this directory into /work of the image, as its last layer; .gitignore and "
    ".envlockignore say what stays behind, and secrets always do.",
)
@click.option(
    "--sbom/--no-sbom",
    default=None,
    help="A CycloneDX bill of materials with the image: listed under it in a registry, beside a file or "
    "directory as DEST.cdx.json (default: with every -o).",
)
@click.option(
    "--provenance/--no-provenance",
    default=None,
    help="How the image was made and of what, as in-toto/SLSA: in the same places, DEST.provenance.json "
    "(default: with every -o).",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Build once more from nothing and compare every byte, then read the environment inside the image "
    "and compare it with the lock. Exit 1, with nothing written, where either differs.",
)
@click.option(
    "--emit-dockerfile",
    "dockerfile_directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a Dockerfile and hash-checked requirements there, for those who must build with Docker; "
    "build nothing.",
)
@options.network
@options.as_json
@options.quiet
def command(
    *,
    lock: Path | None,
    bundle_reference: str | None,
    tag: str | None,
    outputs: tuple[str, ...],
    only_plan: bool,
    threads: int | None,
    isa: Isa,
    bytecode: bool,
    project: Path | None,
    sbom: bool | None,
    provenance: bool | None,
    verify: bool,
    dockerfile_directory: Path | None,
    offline: bool,
    ca_bundle: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Build the image of LOCK (default: pylock.envlock.toml), the same bytes on any machine.

    No container engine is needed. Wheels come from the index by hash, from beside the lock, or from a
    bundle.

    \b
    envlock build
    envlock build -t team/exp:1
    envlock build -o docker-archive:exp.tar     then: docker load -i exp.tar
    envlock build --from exp.bundle --offline   on a machine that has nothing else
    """
    bundle = None if bundle_reference is None else _opened(bundle_reference, ca_bundle)
    source = _source(lock, bundle)
    code = None if project is None else project_tree.read(project)
    settings = BuildOptions(
        created=_created(os.environ),
        threads=threads,
        isa=isa,
        bytecode=bytecode,
        project=None if code is None else code.digest,
    )
    network = Network(offline=offline, ca_bundle=ca_bundle)
    request = Request(source=source, settings=settings, network=network, bundle=bundle, project=code)
    progress = terminal.progress(quiet=quiet)
    store = inputs.store()
    if dockerfile_directory is not None:
        _emit(request, dockerfile_directory, store, progress)
        return 0
    if only_plan:
        made = plan(source.lock, lock_bytes=source.data, options=settings, runtime=runtime_files())
        _print_plan(made, code, as_json=as_json)
        return 0
    destinations = tuple(parse_destination(text) for text in outputs) or _default(source.directory, tag)
    wheels = _wheels(request, store, progress)
    image = _assemble(request, wheels, store, progress)
    proof = _verified(request, image, wheels, store, progress) if verify else None
    proven = proof is None or proof.holds
    named = bool(outputs)
    product = _product(
        request,
        image,
        sbom=named if sbom is None else sbom,
        provenance=named if provenance is None else provenance,
    )
    written = destinations if proven else ()
    for destination in written:
        destination.write(product, store, tag, progress, ca_bundle)
    _print(image, written, proof, as_json=as_json, quiet=quiet)
    return 0 if proven else 1


def _opened(reference: str, ca_bundle: str | None) -> Bundle:
    """Open a bundle; one in a registry stays connected until the command ends."""
    if not reference.startswith(SCHEME):
        return open_bundle(reference)
    named = Reference.parse(reference.removeprefix(SCHEME))
    context = click.get_current_context()
    return open_pushed(context.with_resource(connected(named, os.environ, ca_bundle)))


def _source(lock: Path | None, bundle: Bundle | None) -> Source:
    """Return the lock that was named, else the bundle's own, else the default one."""
    if lock is None and bundle is not None:
        return Source(lock=bundle.lock, data=bundle.lock_bytes, directory=Path.cwd())
    return inputs.read(lock or options.DEFAULT_LOCK)


def _default(directory: Path, tag: str | None) -> tuple[Destination, ...]:
    """Return the layout beside the lock, which git ignores, and, with a tag, Docker where one answers."""
    sidecar.ignore(directory)
    beside = Destination(kind="oci", target=str(directory / DEFAULT_IMAGE))
    if tag is not None and docker.answers():
        return (beside, Destination(kind="docker", target=tag))
    return (beside,)


def _wheels(request: Request, store: Store, progress: Progress) -> dict[str, Path]:
    """Bring together in the store what the image is made of; return the wheels."""
    source = request.source
    if request.bundle is not None:
        request.bundle.supply(source.lock, store, progress)
    lacking = missing.missing(source.lock, store, source.directory, offline=request.network.offline)
    missing.refuse(lacking)
    foreign.bring(source.lock.base, store, progress, request.network.ca_bundle)
    return inputs.wheels(
        source, source.lock.packages, store=store, network=request.network, progress=progress
    )


def _assemble(request: Request, wheels: Mapping[str, Path], store: Store, progress: Progress) -> Image:
    """Assemble the image in the store."""
    source = request.source
    return assemble(
        source.lock,
        lock_bytes=source.data,
        wheels=wheels,
        store=store,
        options=request.settings,
        progress=progress,
        lock_directory=source.directory,
        project=request.project,
    )


def _verified(
    request: Request, image: Image, wheels: Mapping[str, Path], store: Store, progress: Progress
) -> Verification:
    def again(fresh: Store) -> Image:
        return _assemble(request, wheels, fresh, progress)

    return verification.verify(image, request.source.lock, wheels, store, progress, again)


def _product(request: Request, image: Image, *, sbom: bool, provenance: bool) -> Product:
    """Return the image with the documents that are wanted."""
    source = request.source
    made = [attachments.bill(source.lock, image)] if sbom else []
    if provenance:
        made.append(attachments.statement(source.lock, source.data, image, request.settings))
    return Product(image=image, attachments=tuple(made))


def _emit(request: Request, directory: Path, store: Store, progress: Progress) -> None:
    """Write the Dockerfile with the wheels that no index has."""
    source = request.source
    dockerfile.refuse_filled(directory)
    if request.bundle is not None:
        request.bundle.supply(source.lock, store, progress)
    beside = [package for package in source.lock.packages if package.wheel.path is not None]
    wheels = inputs.wheels(source, beside, store=store, network=request.network, progress=progress)
    dockerfile.emit(
        source.lock,
        directory,
        lock_bytes=source.data,
        wheels=wheels,
        options=request.settings,
        project=request.project,
    )


def _created(environ: Mapping[str, str]) -> int:
    """Return the image's creation time: SOURCE_DATE_EPOCH (reproducible-builds.org) or a fixed one."""
    text = environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return DEFAULT_CREATED
    if not (text.isascii() and text.isdigit()):
        raise UsageError("SOURCE_DATE_EPOCH is no time", expected="seconds since 1970", found=repr(text))
    return int(text)


def _print_plan(made: ImagePlan, code: ProjectTree | None, *, as_json: bool) -> None:
    rows = [
        *((layer.comment or "base", layer.size) for layer in made.base),
        *((group.comment, group.size) for group in made.groups),
        *((comment, None) for comment in made.bytecode_comments),
        *((layer.comment, sum(len(file.data or b"") for file in layer.files)) for layer in made.own),
        *(() if code is None else ((project_tree.COMMENT, code.size),)),
    ]
    if as_json:
        terminal.print_json(
            {
                "layers": [{"holds": comment, "bytes": size} for comment, size in rows],
                "labels": dict(made.labels),
                "environment": dict(made.environment),
            }
        )
        return
    table = Table("layer", "MB", "holds", box=None, header_style="dim", pad_edge=False)
    for number, (comment, size) in enumerate(rows, 1):
        table.add_row(str(number), "?" if size is None else f"{size / 1e6:.1f}", comment)
    terminal.out.print(table)


def _summary(image: Image, destinations: tuple[Destination, ...]) -> dict[str, object]:
    return {
        "manifest": str(image.digest),
        "config": str(image.config_digest),
        "size": sum(layer.size for layer in image.layers),
        "layers": [
            {
                "diff-id": str(layer.diff_id),
                "blob": str(layer.blob),
                "size": layer.size,
                "holds": layer.comment,
            }
            for layer in image.layers
        ],
        "written": [str(destination) for destination in destinations],
    }


def _print(
    image: Image,
    destinations: tuple[Destination, ...],
    proof: Verification | None,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    if as_json:
        proven = {} if proof is None else {"verified": verification.members(proof)}
        terminal.print_json(_summary(image, destinations) | proven)
        return
    if not quiet:
        _print_image(image, destinations)
    if proof is not None:
        verification.print_verification(proof, image)


def _print_image(image: Image, destinations: tuple[Destination, ...]) -> None:
    size = sum(layer.size for layer in image.layers)
    terminal.err.print(f"[bold green]built[/] {len(image.layers)} layers, {size / 1e6:.0f} MB compressed")
    terminal.err.print(f"  manifest  {image.digest}")
    terminal.err.print(f"  image ID  {image.config_digest}")
    for destination in destinations:
        terminal.err.print(f"  wrote     {destination}", markup=False)
