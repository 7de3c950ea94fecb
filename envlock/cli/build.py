"""``envlock build``: a lockfile → an OCI image."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

from envlock.cli import inputs, options, plain, product, storage
from envlock.cli.building import Documents, Request, build
from envlock.cli.destination import Destination, Underway, parse_destination
from envlock.cli.inputs import Network
from envlock.cli.product import Product
from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.image import terms
from envlock.image.plan import DEFAULT_CREATED, BuildOptions, Isa
from envlock.image.project import ProjectTree
from envlock.lock.model import Lock
from envlock.oci.model import Layer
from envlock.oci.name import ImageName, typed
from envlock.runtime.errors import UsageError
from envlock.wheels import sidecar

DEFAULT_IMAGE = Path(".envlock") / "image"


@click.command(short_help="Turn a lockfile into an OCI image, without a daemon.")
@click.argument("locks", metavar="[LOCK]...", nargs=-1, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--from",
    "bundle_reference",
    metavar="BUNDLE",
    help="A file that `envlock export --bundle` wrote, or registry:NAME:TAG, to take what is not here; "
    "without LOCK, its lock too.",
)
@click.option(
    "-t",
    "--tag",
    help="A name for the image; without -o, it is loaded into Docker under it if an engine answers.",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="DEST",
    help="oci:DIR, oci-archive:FILE, docker-archive:FILE, docker:TAG, podman:TAG or registry:NAME:TAG; may "
    "be given more than once (default: oci:.envlock/image beside the lock, where `envlock run` finds it).",
)
@click.option(
    "--plan",
    "only_plan",
    is_flag=True,
    help="Show the layers, which of them are here and in the registries of -o, and write nothing.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads of every numeric library (default: the lock's cores).",
)
@click.option(
    "--isa",
    type=click.Choice(["portable", "native"]),
    help="portable: CPU kernels that any x86-64-v3 host has; native: the fastest of each host "
    "(default: portable for x86-64, native elsewhere).",
)
@click.option(
    "--bytecode/--no-bytecode",
    default=True,
    show_default=True,
    help="Compile the wheels' Python with the image's own interpreter; without it, each process does at "
    "its start.",
)
@click.option(
    "--backend",
    type=click.Choice(["oci", "docker"]),
    default="oci",
    show_default=True,
    help="docker: let the Docker engine and pip build the same environment, on the lock's own base; its "
    "digest is another each time.",
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
@options.verbose
def command(
    *,
    locks: tuple[Path, ...],
    bundle_reference: str | None,
    tag: str | None,
    outputs: tuple[str, ...],
    only_plan: bool,
    threads: int | None,
    isa: Isa | None,
    bytecode: bool,
    backend: str,
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
    bundle. Several locks, one for each platform, become one image index.

    \b
    envlock build
    envlock build -t team/exp:1
    envlock build -o docker-archive:exp.tar     then: docker load -i exp.tar
    envlock build --from exp.bundle --offline   on a machine that has nothing else
    envlock build pylock.amd64.toml pylock.arm64.toml --no-bytecode -o registry:NAME:TAG
    """
    if tag is not None:
        with typed(f"-t {tag}"):
            ImageName.parse(tag)  # what nobody takes is told before an image is built for it
    progress = plain.progress(quiet=quiet)
    bundle = None if bundle_reference is None else inputs.bundle(bundle_reference, ca_bundle, progress)
    code = None if project is None else _code(project)
    settings = BuildOptions(
        created=_created(os.environ),
        threads=threads,
        bytecode=bytecode,
        project=None if code is None else code.digest,
    )
    network = Network(offline=offline, ca_bundle=ca_bundle)
    requests = [
        Request(
            source=one,
            settings=replace(settings, isa=isa or _isa(one.lock)),
            network=network,
            bundle=bundle,
            project=code,
        )
        for one in inputs.read_all(locks, bundle)
    ]
    store = storage.store()
    about_image = {"--plan": only_plan, "--verify": verify, "--sbom": sbom, "--provenance": provenance}
    # Each of these ways has imports that a build has no use for.
    if dockerfile_directory is not None:
        from envlock.cli import docker_backend  # noqa: PLC0415

        _refuse_asked("--emit-dockerfile builds nothing", about_image | {"-t": tag, "-o": outputs})
        docker_backend.write(_only(requests), dockerfile_directory, store, progress)
        return 0
    if backend == "docker":
        from envlock.cli import docker_backend  # noqa: PLC0415

        _refuse_asked("--backend docker leaves the image to Docker and pip", about_image)
        names = docker_backend.tags(outputs, tag)
        built = docker_backend.build(_only(requests), names, store, progress)
        docker_backend.tell(built, as_json=as_json, quiet=quiet)
        return 0
    destinations = _destinations(outputs, len(requests))
    if only_plan:
        from envlock.cli import outlook  # noqa: PLC0415

        outlook.show(requests, destinations, store, progress, as_json=as_json)
        return 0
    named = bool(outputs)
    documents = Documents(
        sbom=named if sbom is None else sbom,
        provenance=named if provenance is None else provenance,
        proof=verify,
    )
    for destination in destinations:
        destination.reach(ca_bundle, progress)
    places = destinations or _default(requests, tag)
    with ExitStack() as stack:
        # What is to be proven first goes nowhere before, nor does one of several platforms; and an engine
        # is sent the layers once.
        early = {} if documents.proof or len(requests) > 1 else {one.kind: one for one in places}
        ways = [
            stack.enter_context(
                one.underway(store, tag, progress, ca_bundle, early=early.get(one.kind) is one)
            )
            for one in places
        ]
        products = _built(requests, documents, ways, store, progress)
        written = places if all(one.holds for one in products) else ()
        if any(one.kind == "registry" for one in written):
            terms.tell([one.source.lock for one in requests], store, progress)
        for way in ways if written else ():
            way.finish(products)
    _print(products, written, as_json=as_json, quiet=quiet)
    return 0 if written else 1


def _built(
    requests: Sequence[Request],
    documents: Documents,
    ways: Sequence[Underway],
    store: Store,
    progress: Progress,
) -> tuple[Product, ...]:
    """Build the images; their layers are told to all ``ways``."""

    def made(layer: Layer) -> None:
        for way in ways:
            way.take(layer)

    return tuple(build(one, documents, store, progress, made) for one in requests)


def _code(project: Path) -> ProjectTree:
    from envlock.image import project_tree  # noqa: PLC0415 # ignore rules' library, for --project only

    return project_tree.read(project)


def _isa(lock: Lock) -> Isa:
    """Return the instructions that are right for a lock's processor: the portable ones are x86-64's."""
    return "portable" if lock.platform == "linux/amd64" else "native"


def _destinations(outputs: tuple[str, ...], platforms: int) -> tuple[Destination, ...]:
    found = tuple(map(parse_destination, outputs))
    for one in found:
        one.refuse_several(platforms)
    return found


def _refuse_asked(why: str, given: Mapping[str, object]) -> None:
    """Raise UsageError for what was ``given`` (option → value) and would be passed over."""
    asked = [name for name, value in given.items() if value]
    if asked:
        hint = "the daemonless build, without either, does all of these"
        raise UsageError(why, expected=f"no {' or '.join(given)}", found=", ".join(asked), hint=hint)


def _only(requests: Sequence[Request]) -> Request:
    if len(requests) != 1:
        raise UsageError("a Dockerfile is for one platform", expected="one lock")
    return requests[0]


def _default(requests: Sequence[Request], tag: str | None) -> tuple[Destination, ...]:
    """Return the layout beside the first lock, which git ignores, and with a tag Docker where one answers."""
    directory = requests[0].source.directory
    sidecar.ignore(directory)
    beside = Destination(kind="oci", target=str(directory / DEFAULT_IMAGE))
    if tag is not None and len(requests) == 1:
        from envlock.engines import docker  # noqa: PLC0415 # slow to import, and only asked for a tag

        if docker.answers():
            return (beside, Destination(kind="docker", target=tag))
    return (beside,)


def _print(
    products: Sequence[Product], written: Sequence[Destination], *, as_json: bool, quiet: bool
) -> None:
    if as_json:
        plain.print_json({**product.summary(products), "written": [str(one) for one in written]})
        return
    if not quiet:
        from envlock.cli import announcement  # noqa: PLC0415 # rich, for none who wants quiet

        announcement.show(products, written)
    for one in products:
        if one.proof is not None:
            one.proof.show(one.image)


def _created(environ: Mapping[str, str]) -> int:
    """Return the image's creation time: SOURCE_DATE_EPOCH (reproducible-builds.org) or a fixed one."""
    text = environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return DEFAULT_CREATED
    if not (text.isascii() and text.isdigit()):
        raise UsageError("SOURCE_DATE_EPOCH is no time", expected="seconds since 1970", found=repr(text))
    return int(text)
