"""``envlock export``: a lockfile in the form of other tools, or as one file for other machines."""

import importlib
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, Protocol

import click

from envlock.cli import inputs, options, plain, storage, terminal
from envlock.cli.inputs import Network, Source
from envlock.core.digest import Digest
from envlock.core.progress import Progress
from envlock.host.files import atomic_write, file_digest
from envlock.host.store import Store
from envlock.image import base_copies, bundle, dockerfile, missing, pushed_bundle, terms
from envlock.lock import file
from envlock.lock.model import Lock, Package
from envlock.oci.name import typed
from envlock.oci.registry.client import connected
from envlock.oci.registry.reference import SCHEME, Reference
from envlock.runtime.errors import UsageError

Form = Literal["requirements", "pylock", "cyclonedx", "dockerfile"]
_FORMS: Final[tuple[Form, ...]] = ("requirements", "pylock", "cyclonedx", "dockerfile")
_STANDARD_OUTPUT: Final = Path("-")


class _Exporter(Protocol):
    """A module of :mod:`envlock.lock.export`."""

    def dumps(self, lock: Lock) -> bytes:
        """Return the lock in another form."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for."""

    source: Source
    network: Network
    all_wheels: bool
    store: Store
    progress: Progress

    @property
    def travelling(self) -> tuple[Package, ...]:
        """The packages whose wheels come along: those that no index has, or all."""
        packages = self.source.lock.packages
        return tuple(one for one in packages if self.all_wheels or one.wheel.path is not None)

    def wheels(self) -> dict[str, Path]:
        """Return the verified wheels that come along, in the store."""
        return inputs.wheels(
            self.source, self.travelling, store=self.store, network=self.network, progress=self.progress
        )


@click.command(short_help="A lockfile for other tools, or as one file for other machines.")
@click.argument("lock", type=click.Path(dir_okay=False, path_type=Path), default=options.DEFAULT_LOCK)
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMS),
    help="requirements: for pip and uv, with hashes; pylock: plain PEP 751; cyclonedx: a bill of materials "
    "(1.6, JSON); dockerfile: a directory to build with Docker.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    help="A file, or for dockerfile a new directory (default: -, standard output).",
)
@click.option(
    "--bundle",
    "bundled",
    metavar="FILE|registry:NAME:TAG",
    help="Write the lock with its base and the wheels that no index has as one OCI archive, or push them, "
    "for `envlock build --from`.",
)
@click.option(
    "--all-wheels",
    is_flag=True,
    help="With --bundle or dockerfile: take along the wheels of indexes too, for machines that reach none.",
)
@options.network
@options.as_json
@options.quiet
@options.verbose
def command(
    *,
    lock: Path,
    form: Form | None,
    output: Path | None,
    bundled: str | None,
    all_wheels: bool,
    offline: bool,
    ca_bundle: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write LOCK (default: pylock.envlock.toml) in another form.

    \b
    envlock export --format requirements -o requirements.txt
    envlock export --format cyclonedx -o sbom.cdx.json
    envlock export --format dockerfile -o docker/     then: docker build docker/
    envlock export --bundle exp.bundle                then, elsewhere: envlock build --from exp.bundle
    envlock export --bundle registry:NAME:TAG         then: envlock build --from registry:NAME:TAG
    """
    if form is None and bundled is None and str(output).startswith(SCHEME):
        bundled, output = str(output), None
    if bundled is not None and output is not None:
        raise UsageError("both --bundle and -o", hint="--bundle says where to write")
    written = Path(bundled) if bundled else output or _STANDARD_OUTPUT
    _check(form, written, bundled=bundled is not None, all_wheels=all_wheels)
    if as_json and written == _STANDARD_OUTPUT:
        raise UsageError("--json and the export both want standard output", hint="name a file with -o")
    request = Request(
        source=inputs.read(lock),
        network=Network(offline=offline, ca_bundle=ca_bundle),
        all_wheels=all_wheels,
        store=storage.store(),
        progress=plain.progress(quiet=quiet),
    )
    if bundled is not None:
        _bundle(request, bundled)
    elif form == "dockerfile":
        _dockerfile(request, written)
    else:
        _document(request.source.lock, str(form), written)
    _tell(request, form, written, as_json=as_json, quiet=quiet)


def _check(form: Form | None, output: Path, *, bundled: bool, all_wheels: bool) -> None:
    """Raise UsageError for options that don't fit together."""
    if (form is None) != bundled:
        raise UsageError(
            "both --format and --bundle" if bundled else "nothing to export",
            expected=f"--format {'|'.join(_FORMS)}, or --bundle FILE",
            hint="envlock export --help",
        )
    if form == "dockerfile" and output == _STANDARD_OUTPUT:
        raise UsageError("a Dockerfile needs the files beside it", hint="name a new directory with -o DIR")
    if form == "pylock" and output != _STANDARD_OUTPUT:
        file.check_name(output)
    if all_wheels and form not in (None, "dockerfile"):
        raise UsageError(f"--all-wheels means nothing for {form}", expected="--bundle or --format dockerfile")


def _bundle(request: Request, target: str) -> None:
    source = request.source
    # A name that no registry takes is told before anything is fetched for it.
    with typed(f"--bundle {target}"):
        reference = Reference.parse(target.removeprefix(SCHEME)) if target.startswith(SCHEME) else None
    made = bundle.compose(source.lock, source.data, all_wheels=request.all_wheels)
    wanted = replace(source.lock, packages=request.travelling)
    offline = request.network.offline
    missing.refuse(missing.missing(wanted, request.store, source.directory, offline=offline))
    _bring_base(request)
    request.wheels()
    if reference is None:
        bundle.write(made, source.data, request.store, Path(target), request.progress)
        return
    terms.tell([source.lock], request.store, request.progress)
    with connected(reference, os.environ, request.network.ca_bundle, request.progress) as repository:
        pushed_bundle.push(made, source.data, repository, request.store, request.progress)


def _bring_base(request: Request) -> None:
    lock, store = request.source.lock, request.store
    if lock.base.kind == "registry":
        # Docker's SDK takes a tenth of a second to import, and most exports need none of it.
        from envlock.engines import foreign  # noqa: PLC0415

        foreign.bring(lock.base, store, request.progress, request.network.ca_bundle)
    base_copies.bring(lock.base, store, request.source.directory)


def _dockerfile(request: Request, directory: Path) -> None:
    dockerfile.refuse_filled(directory)
    source = request.source
    dockerfile.emit(source.lock, directory, lock_bytes=source.data, wheels=request.wheels())


def _document(lock: Lock, form: str, output: Path) -> None:
    # cyclonedx costs a sixth of a second to import: only who asks for it pays.
    exporter: _Exporter = importlib.import_module(f"envlock.lock.export.{form}")
    data = exporter.dumps(lock)
    if output == _STANDARD_OUTPUT:
        sys.stdout.buffer.write(data)
        return
    with atomic_write(output) as stream:
        stream.write(data)


def _tell(request: Request, form: Form | None, written: Path, *, as_json: bool, quiet: bool) -> None:
    """Say what was written, and what must travel along with it."""
    beside = [one for one in request.source.lock.packages if one.wheel.path is not None]
    if as_json:
        plain.print_json(_summary(request, form, written))
    if quiet:
        return
    if written != _STANDARD_OUTPUT:
        terminal.err.print(f"wrote {written}", markup=False)
    if form in ("requirements", "pylock") and beside:
        count = f"{len(beside)} wheel{'s' if len(beside) > 1 else ''}"
        terminal.err.print(
            f"note: it needs {count} that no index has, in .envlock/wheels beside the lock",
            markup=False,
        )


def _summary(request: Request, form: Form | None, written: Path) -> dict[str, object]:
    packages = request.source.lock.packages
    facts: dict[str, object] = {
        "format": form or "bundle",
        "lock-sha256": Digest.of(request.source.data).hex,
        "packages": len(packages),
        "written": str(written),
    }
    if form in (None, "dockerfile"):
        facts["wheels"] = len(request.travelling)
    if written.is_file():
        facts |= {"sha256": file_digest(written).hex, "size": written.stat().st_size}
    return facts
