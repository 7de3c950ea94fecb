"""``envlock capture``: a live environment → a lockfile."""

import os
from pathlib import Path

import click

from envlock.capture.machine import with_machine
from envlock.cli import captured, options, plain, storage, unchanged
from envlock.cli.request import Request
from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.image import base_copies
from envlock.lock import file
from envlock.lock.model import Lock
from envlock.runtime.errors import UsageError
from envlock.wheels import sidecar


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
@options.verbose
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
    if requirements and (job or source is not None):
        raise UsageError(
            "requirements make an environment of their own",
            expected="--requirements, --from or a command, one of them",
        )
    if constraint and not requirements:
        raise UsageError("--constraint means nothing alone", expected="--requirements FILE")
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
        requirements=requirements,
        constraints=constraint,
    )
    lock = _capture(request, plain.progress(quiet=quiet))
    if as_json or not quiet:
        captured.tell(lock, request.output, as_json=as_json, job=bool(job))
    return 1 if strict and not lock.is_complete else 0


def _capture(request: Request, progress: Progress) -> Lock:
    """Return the lock, written with what belongs beside it."""
    store = storage.store(anew=request.verify)
    lock = _made(request, store, progress)
    sidecar.ignore(request.output.parent)
    sidecar.keep(lock.packages, store, request.output.parent)
    base_copies.keep(lock.base, store, request.output.parent)
    file.write(request.output, lock)
    return lock


def _made(request: Request, store: Store, progress: Progress) -> Lock:
    """Return the lock of an environment: the remembered one where nothing has changed since."""
    question = unchanged.question(request, os.environ)
    known = unchanged.recall(question, store) if question is not None else None
    if known is not None:
        progress.note("nothing has changed since this environment was last captured")
        return with_machine(known, project=request.project, environ=os.environ)
    # What an environment is read with takes longer to import than to see that nothing has changed in it.
    from envlock.cli import locking  # noqa: PLC0415

    begun = store.clock()
    made = locking.make(request, store, progress)
    if question is not None and made.reach is not None:
        unchanged.keep(question, store, made.lock, made.reach, begun)
    if made.whole:
        return made.lock
    return with_machine(made.lock, project=request.project, environ=os.environ)
