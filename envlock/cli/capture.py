"""``envlock capture``: a live environment → a lockfile."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from envlock import capture
from envlock.cli import options, terminal
from envlock.core.progress import Progress
from envlock.host import http
from envlock.host.store import Store, default_root
from envlock.image import base as host_base
from envlock.image import base_copies
from envlock.lock import codec, file, identity
from envlock.lock.model import Gap, Lock
from envlock.runtime.errors import UsageError
from envlock.wheels import configuration, locate, sidecar

_NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for."""

    python: Path | None
    project: Path | None
    offline: bool
    ca_bundle: str | None
    output: Path


@click.command(short_help="Read a live environment into a lockfile.")
@options.target_python
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The job's code: its git commit and tree hash are locked (default: the current directory).",
)
@click.option(
    "--base", default="host", show_default=True, help="What the image stands on: this host's own files."
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
@options.network
@options.as_json
@options.quiet
def command(
    *,
    python: Path | None,
    project: Path,
    base: str,
    output: Path,
    strict: bool,
    offline: bool,
    ca_bundle: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Read the active environment, down to the exact wheel of each package, into one lockfile.

    The lock is a valid PEP 751 lockfile: pip and uv install from it. What no index has (locally built or
    edited packages, the host's own libraries) is packed beside it under .envlock/.

    \b
    envlock capture
    envlock capture --python ~/venvs/exp/bin/python -o pylock.exp.toml
    """
    if base != "host":
        raise UsageError("unknown base", where=base, expected="host", hint="leave --base out")
    file.check_name(output)
    request = Request(python=python, project=project, offline=offline, ca_bundle=ca_bundle, output=output)
    lock = _capture(request, terminal.progress(quiet=quiet))
    if as_json:
        terminal.print_json(_summary(lock, output))
    elif not quiet:
        for line in _lines(lock, output):
            terminal.err.print(line)
    return 1 if strict and not is_complete(lock) else 0


def is_complete(lock: Lock) -> bool:
    """Say whether everything was captured that was there to be captured."""
    return all(gap.harmless for gap in lock.gaps)


def _capture(request: Request, progress: Progress) -> Lock:
    """Make the lock, part by part, and write it with what belongs beside it."""
    store = Store(default_root(os.environ))
    python = request.python or capture.active_python(os.environ)
    environment = capture.read(python, project=request.project, environ=os.environ, progress=progress)
    with http.session(os.environ, request.ca_bundle) as session:
        located = locate.locate(
            environment.distributions,
            store=store,
            indexes=configuration.indexes(os.environ),
            session=session,
            offline=request.offline,
            progress=progress,
        )
    if environment.host_files is None:
        raise UsageError(
            "this host's files can't be packed", found="; ".join(map(_sentence, environment.gaps))
        )
    packed = host_base.pack_host(
        environment.host_files, python=environment.python, store=store, progress=progress
    )
    lock = Lock(
        python=environment.python,
        os=environment.os,
        cpu=environment.cpu,
        gpu=environment.gpu,
        cuda=environment.cuda,
        conda=environment.conda,
        libraries=environment.libraries,
        packages=located.packages,
        system_packages=tuple(one.package for one in environment.host_files.packages),
        base=packed.base,
        project=environment.project,
        environment=environment.variables,
        gaps=tuple(sorted({*environment.gaps, *located.gaps, *packed.gaps})),
    )
    sidecar.ignore(request.output.parent)
    sidecar.keep(lock.packages, store, request.output.parent)
    base_copies.keep(lock.base, store, request.output.parent)
    file.write(request.output, lock)
    return lock


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


def _sentence(gap: Gap) -> str:
    return f"{gap.subject}: {gap.reason}"
