"""``envlock capture``: a live environment → a lockfile."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from envlock import capture
from envlock.capture import specification
from envlock.capture.specification import Installed, Specification
from envlock.cli import inputs, options, terminal
from envlock.core.progress import Progress
from envlock.engines import base_reference, bases
from envlock.engines.base_reference import HOST
from envlock.engines.bases import Standing
from envlock.host.store import Store
from envlock.image import base_copies
from envlock.lock import codec, file, identity
from envlock.lock.environment import Environment
from envlock.lock.model import Gap, Lock, Package
from envlock.runtime.errors import UsageError
from envlock.wheels import configuration, credentials, locate, sidecar

_NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for."""

    python: Path | None
    project: Path | None
    offline: bool
    ca_bundle: str | None
    output: Path
    source: str | None = None
    """The image or container whose environment is captured; None: this machine's."""
    base: str = HOST
    """What the image stands on."""
    verify: bool = False
    """Hash every installed file, whatever is remembered."""
    job: tuple[str, ...] = ()
    """A command to run once, whose libraries are seen as it opens them."""
    specification: Specification | None = None
    """What to install and capture instead of the environment that ``python`` names."""


@click.command(short_help="Read a live environment into a lockfile.")
@options.target_python
@click.option(
    "--from",
    "source",
    metavar="IMAGE",
    help="Capture the environment in an image instead: docker:IMAGE, docker-container:NAME, "
    "docker-archive:FILE, oci:DIR, oci-archive:FILE. --python is then a path in it.",
)
@click.option(
    "-r",
    "--requirements",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Lock what should be installed instead: resolve this file with pip-tools for the environment's "
    "interpreter, install it into a scratch environment and capture that. May be given more than once.",
)
@click.option(
    "-c",
    "--constraint",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="With --requirements: versions that they must keep to. May be given more than once.",
)
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The job's code: its git commit and tree hash are locked (default: the current directory).",
)
@click.option(
    "--base",
    default="host",
    show_default=True,
    metavar="BASE",
    help="What the image stands on: host (this machine's own files), an IMAGE of a registry, "
    "docker-daemon:IMAGE, oci:DIR, oci-archive:FILE, docker-archive:FILE, dockerfile:FILE, "
    "or a definition such as python-slim.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=options.DEFAULT_LOCK,
    show_default=True,
    help="Where the lock goes; pip and uv demand a name like pylock.NAME.toml.",
)
@click.option("--strict", is_flag=True, help="Exit 1 when something could not be captured.")
@options.verify
@options.network
@options.as_json
@options.quiet
@click.argument("job", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND…]")
def command(
    *,
    python: Path | None,
    source: str | None,
    requirements: tuple[Path, ...],
    constraint: tuple[Path, ...],
    project: Path,
    base: str,
    output: Path,
    strict: bool,
    verify: bool,
    offline: bool,
    ca_bundle: str | None,
    as_json: bool,
    quiet: bool,
    job: tuple[str, ...],
) -> int:
    """Read the active environment, down to the exact wheel of each package, into one lockfile.

    The lock is a valid PEP 751 lockfile: pip and uv install from it. What no index has (locally built or
    edited packages, the host's own libraries) is packed beside it under .envlock/.

    \b
    envlock capture
    envlock capture --python ~/venvs/exp/bin/python -o pylock.exp.toml
    envlock capture --from docker:team/train:7 -o pylock.train.toml
    envlock capture --requirements requirements.in
    envlock capture -- python train.py --epochs 1

    With a COMMAND, it is run once, and every library that its processes load is captured as well, those
    that are opened by name while running included.
    """
    if job and source is not None:
        raise UsageError("a job is run on this machine only", where=source, hint="leave out --from")
    file.check_name(output)
    request = Request(
        python=python,
        project=project,
        offline=offline,
        ca_bundle=ca_bundle,
        output=output,
        source=source,
        base=base,
        verify=verify,
        job=job,
        specification=_specification(requirements, constraint, elsewhere=bool(source or job)),
    )
    lock = _capture(request, terminal.progress(quiet=quiet))
    if as_json and job:
        # Standard output is the job's.
        click.echo(json.dumps(_summary(lock, output), sort_keys=True), err=True)
    elif as_json:
        terminal.print_json(_summary(lock, output))
    elif not quiet:
        for line in _lines(lock, output):
            terminal.err.print(line)
    return 1 if strict and not is_complete(lock) else 0


def _specification(
    requirements: tuple[Path, ...], constraints: tuple[Path, ...], *, elsewhere: bool
) -> Specification | None:
    if requirements and elsewhere:
        raise UsageError(
            "requirements make an environment of their own",
            expected="--requirements, --from or a command, one of them",
        )
    if constraints and not requirements:
        raise UsageError("--constraint means nothing alone", expected="--requirements FILE")
    return Specification(requirements=requirements, constraints=constraints) if requirements else None


def is_complete(lock: Lock) -> bool:
    """Say whether everything was captured that was there to be captured."""
    return all(gap.harmless for gap in lock.gaps)


def _capture(request: Request, progress: Progress) -> Lock:
    """Read the environment, and make its lock while the files that it names are there."""
    store = inputs.store(anew=request.verify)
    if request.source is None:
        with _installed(request, progress) as target:
            environment = capture.read(
                target.python,
                project=request.project,
                environ=os.environ,
                progress=progress,
                command=request.job,
                store=store,
            )
            return _lock(environment, request, store, progress, target.environ)
    # Docker's SDK takes a tenth of a second to import, and a live capture needs none of it.
    from envlock.engines import inspection, unpacked  # noqa: PLC0415

    with unpacked.unpacked(request.source, store, progress) as image:
        found = inspection.read(image.root, image.configuration, request.python, progress)
        environment = capture.with_machine(found, project=request.project, environ=os.environ)
        return _lock(environment, request, store, progress)


@contextmanager
def _installed(request: Request, progress: Progress) -> Iterator[Installed]:
    """Yield the environment that the user means, made first where there is only a specification of it."""
    python = request.python or capture.active_python(os.environ, command=request.job)
    if request.specification is None:
        yield Installed(python=python, environ=os.environ)
        return
    pip = {**os.environ, **configuration.pip_variables(os.environ, _prefix(request))}
    pip |= {"PIP_NO_INDEX": "1"} if request.offline else {}
    pip |= {"PIP_CERT": request.ca_bundle} if request.ca_bundle else {}
    with specification.installed(request.specification, python, environ=pip, progress=progress) as made:
        yield made


def _lock(
    environment: Environment,
    request: Request,
    store: Store,
    progress: Progress,
    environ: Mapping[str, str] = os.environ,
) -> Lock:
    """Make the lock, part by part, and write it with what belongs beside it.

    ``environ`` tells where its wheels came from.
    """
    places = configuration.read(environ, prefix=_prefix(request), project=request.project)
    with credentials.session(os.environ, places, request.ca_bundle) as session:
        located = locate.locate(
            environment.distributions,
            store=store,
            indexes=places.indexes,
            session=session,
            offline=request.offline,
            progress=progress,
        )
    standing = _standing(environment, located.packages, request, store, progress)
    lock = Lock(
        python=standing.python,
        os=standing.os,
        cpu=environment.cpu,
        gpu=environment.gpu,
        cuda=environment.cuda,
        conda=environment.conda,
        libraries=standing.libraries,
        packages=located.packages,
        system_packages=standing.system_packages,
        base=standing.base,
        project=environment.project,
        environment=environment.variables,
        gaps=tuple(sorted({*environment.gaps, *located.gaps, *standing.gaps, *_stated(request)})),
    )
    sidecar.ignore(request.output.parent)
    sidecar.keep(lock.packages, store, request.output.parent)
    base_copies.keep(lock.base, store, request.output.parent)
    file.write(request.output, lock)
    return lock


def _standing(
    environment: Environment,
    packages: tuple[Package, ...],
    request: Request,
    store: Store,
    progress: Progress,
) -> Standing:
    """Pack or pin the base."""
    if request.base == HOST:
        return bases.on_host(environment, request.source, store, progress)
    reference = base_reference.parse(request.base, environment.python)
    # Docker's SDK takes a tenth of a second to import, and a host base needs none of it.
    from envlock.engines import foreign  # noqa: PLC0415

    return foreign.stand(
        reference, environment, packages, store=store, progress=progress, ca_bundle=request.ca_bundle
    )


def _stated(request: Request) -> tuple[Gap, ...]:
    return () if request.specification is None else (request.specification.gap,)


def _prefix(request: Request) -> Path | None:
    """Return the environment whose pip.conf counts, where it is not the active one."""
    if request.python is None or request.source is not None:
        return None
    return request.python if request.python.is_dir() else request.python.absolute().parent.parent


def _summary(lock: Lock, output: Path) -> dict[str, Any]:
    return {
        "lock": str(output),
        "environment-id": str(identity.environment_id(lock)),
        "packages": len(lock.packages),
        "evidence": dict(Counter(package.evidence for package in lock.packages)),
        "system-packages": len(lock.system_packages),
        "base": {"kind": lock.base.kind, "size": sum(layer.size for layer in lock.base.layers)},
        "gaps": [{"subject": gap.subject, "reason": gap.reason} for gap in lock.gaps],
        "bytes": len(codec.dumps(lock)),
    }


def _lines(lock: Lock, output: Path) -> Iterator[str]:
    counts = Counter(package.evidence for package in lock.packages)
    sure = ", ".join(f"{count} {evidence}" for evidence, count in sorted(counts.items()))
    size = sum(layer.size for layer in lock.base.layers)
    python, system = lock.python, lock.os
    yield f"[bold green]captured[/] {python.implementation} {python.version}, {system.id} {system.version}"
    yield f"  packages         {len(lock.packages)} ({sure})"
    yield f"  system packages  {len(lock.system_packages)}, base {size / 1e6:.0f} MB compressed"
    yield f"  environment-id   {identity.environment_id(lock)}"
    for subjects, reason in _gaps_by_reason(lock):
        yield f"  [yellow]gap[/]  {escape(subjects)}: {escape(reason)}"
    yield f"  wrote {output}"


def _gaps_by_reason(lock: Lock) -> Iterator[tuple[str, str]]:
    """Yield (subjects, reason), one line for all gaps of one reason: --json lists each."""
    by_reason: dict[str, list[str]] = {}
    for gap in lock.gaps:
        by_reason.setdefault(gap.reason, []).append(gap.subject)
    for reason, subjects in by_reason.items():
        named, hidden = subjects[:_NAMED], len(subjects) - _NAMED
        yield ", ".join(named) + (f" and {hidden} more" if hidden > 0 else ""), reason
