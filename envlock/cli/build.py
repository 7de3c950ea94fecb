"""``envlock build``: a lockfile → an OCI image."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from rich.table import Table

from envlock.cli import options, terminal
from envlock.cli.destination import Destination, parse_destination
from envlock.core.progress import Progress
from envlock.engines import docker
from envlock.host import http
from envlock.host.store import Store, default_root
from envlock.image import dockerfile
from envlock.image.assemble import assemble
from envlock.image.plan import DEFAULT_CREATED, BuildOptions, ImagePlan, Isa, plan
from envlock.image.runtime import runtime_files
from envlock.lock import codec, file
from envlock.lock.model import Lock
from envlock.oci.model import Image
from envlock.runtime.errors import UsageError
from envlock.wheels import configuration
from envlock.wheels.fetch import fetch

DEFAULT_IMAGE = Path(".envlock") / "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The lockfile as read: its value, its exact bytes and where it lies."""

    lock: Lock
    data: bytes
    directory: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for."""

    source: Source
    settings: BuildOptions
    offline: bool
    ca_bundle: str | None


@click.command(short_help="Turn a lockfile into an OCI image, without a daemon.")
@click.argument("lock", type=click.Path(dir_okay=False, path_type=Path), default=options.DEFAULT_LOCK)
@click.option("-t", "--tag", help="A name for the image; loaded into Docker under it if an engine answers.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="DEST",
    help="oci:DIR, oci-archive:FILE, docker-archive:FILE or docker:TAG; may be given more than once "
    "(default: oci:.envlock/image beside the lock, where `envlock run` finds it).",
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
    lock: Path,
    tag: str | None,
    outputs: tuple[str, ...],
    only_plan: bool,
    threads: int | None,
    isa: Isa,
    bytecode: bool,
    dockerfile_directory: Path | None,
    offline: bool,
    ca_bundle: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Build the image of LOCK (default: pylock.envlock.toml), the same bytes on any machine.

    No container engine is needed. Wheels come from the index by hash, or from beside the lock.

    \b
    envlock build
    envlock build -t team/exp:1
    envlock build -o docker-archive:exp.tar     then: docker load -i exp.tar
    """
    source = _read(lock)
    settings = BuildOptions(created=_created(os.environ), threads=threads, isa=isa, bytecode=bytecode)
    if dockerfile_directory is not None:
        dockerfile.emit(
            source.lock,
            dockerfile_directory,
            lock_bytes=source.data,
            lock_directory=source.directory,
            options=settings,
        )
        return
    if only_plan:
        made = plan(source.lock, lock_bytes=source.data, options=settings, runtime=runtime_files())
        _print_plan(made, as_json=as_json)
        return
    destinations = tuple(parse_destination(text) for text in outputs) or _default(source.directory, tag)
    request = Request(source=source, settings=settings, offline=offline, ca_bundle=ca_bundle)
    progress = terminal.progress(quiet=quiet)
    store = Store(default_root(os.environ))
    image = _build(request, store, progress)
    for destination in destinations:
        destination.write(image, store, tag, progress)
    if as_json:
        terminal.print_json(_summary(image, destinations))
    elif not quiet:
        _print_image(image, destinations)


def _read(path: Path) -> Source:
    data = file.read_bytes(path)
    return Source(lock=codec.loads(data, str(path)), data=data, directory=path.resolve().parent)


def _default(directory: Path, tag: str | None) -> tuple[Destination, ...]:
    """Return the layout beside the lock and, with a tag, Docker where an engine answers."""
    beside = Destination(kind="oci", target=str(directory / DEFAULT_IMAGE))
    if tag is not None and docker.answers():
        return (beside, Destination(kind="docker", target=tag))
    return (beside,)


def _build(request: Request, store: Store, progress: Progress) -> Image:
    """Bring the wheels together and assemble the image in the store."""
    lock = request.source.lock
    with http.session(os.environ, request.ca_bundle) as session:
        configuration.authorise(session, configuration.indexes(os.environ))
        wheels = fetch(
            lock.packages,
            lock_directory=request.source.directory,
            store=store,
            session=session,
            offline=request.offline,
            progress=progress,
        )
    return assemble(
        lock,
        lock_bytes=request.source.data,
        wheels=wheels,
        store=store,
        options=request.settings,
        progress=progress,
        lock_directory=request.source.directory,
    )


def _created(environ: Mapping[str, str]) -> int:
    """Return the image's creation time: SOURCE_DATE_EPOCH (reproducible-builds.org) or a fixed one."""
    text = environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return DEFAULT_CREATED
    if not (text.isascii() and text.isdigit()):
        raise UsageError("SOURCE_DATE_EPOCH is no time", expected="seconds since 1970", found=repr(text))
    return int(text)


def _print_plan(made: ImagePlan, *, as_json: bool) -> None:
    rows = [
        *((layer.comment or "base", layer.size) for layer in made.base),
        *((group.comment, group.size) for group in made.groups),
        *((comment, None) for comment in made.bytecode_comments),
        *((layer.comment, sum(len(file.data or b"") for file in layer.files)) for layer in made.own),
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


def _print_image(image: Image, destinations: tuple[Destination, ...]) -> None:
    size = sum(layer.size for layer in image.layers)
    terminal.err.print(f"[bold green]built[/] {len(image.layers)} layers, {size / 1e6:.0f} MB compressed")
    terminal.err.print(f"  manifest  {image.digest}")
    terminal.err.print(f"  image ID  {image.config_digest}")
    for destination in destinations:
        terminal.err.print(f"  wrote     {destination}", markup=False)
