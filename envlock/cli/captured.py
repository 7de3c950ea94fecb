"""What ``envlock capture`` says of the lock that it made."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from envlock.cli import plain
from envlock.lock import codec, identity
from envlock.lock.model import Lock

_NAMED = 4


def tell(lock: Lock, output: Path, *, as_json: bool, job: bool) -> None:
    """Print what was captured: for a reader on standard error, or as JSON.

    With a ``job``, standard output is the job's.
    """
    if as_json and job:
        click.echo(json.dumps(summary(lock, output), sort_keys=True), err=True)
    elif as_json:
        plain.print_json(summary(lock, output))
    else:
        for line in lines(lock, output):
            plain.say(line)


def summary(lock: Lock, output: Path) -> dict[str, Any]:
    """Return what ``--json`` prints."""
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


def lines(lock: Lock, output: Path) -> Iterator[str]:
    """Yield what a reader sees, styled for a terminal."""
    counts = Counter(package.evidence for package in lock.packages)
    sure = ", ".join(f"{count} {evidence}" for evidence, count in sorted(counts.items()))
    size = sum(layer.size for layer in lock.base.layers)
    python, system = lock.python, lock.os
    told = click.style("captured", fg="green", bold=True)
    yield f"{told} {python.implementation} {python.version}, {system.id} {system.version}"
    yield f"  packages         {len(lock.packages)} ({sure})"
    yield f"  system packages  {len(lock.system_packages)}, base {size / 1e6:.0f} MB compressed"
    yield f"  environment-id   {identity.environment_id(lock)}"
    for subjects, reason in _gaps_by_reason(lock):
        yield f"  {click.style('gap', fg='yellow')}  {subjects}: {reason}"
    yield f"  wrote {output}"


def _gaps_by_reason(lock: Lock) -> Iterator[tuple[str, str]]:
    """Yield (subjects, reason), one line for all gaps of one reason: --json lists each."""
    by_reason: dict[str, list[str]] = {}
    for gap in lock.gaps:
        by_reason.setdefault(gap.reason, []).append(gap.subject)
    for reason, subjects in by_reason.items():
        named, hidden = subjects[:_NAMED], len(subjects) - _NAMED
        yield ", ".join(named) + (f" and {hidden} more" if hidden > 0 else ""), reason
