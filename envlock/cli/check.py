"""``envlock check``: does the environment still match its lockfile?"""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import click
from rich.text import Text

from envlock.capture import environment
from envlock.capture.active import active_python
from envlock.cli import options, plain, storage, terminal
from envlock.cli.changes import Row, print_groups
from envlock.core.printable import printable
from envlock.host.store import Store
from envlock.lock import file
from envlock.lock.drift import GRADES, PARTS, Drift, Grade, drift, unchecked
from envlock.lock.environment import Environment
from envlock.lock.model import Gap
from envlock.wheels.launched import without_launchers
from envlock.wheels.own import without_envlock

_TITLES: dict[Grade, str] = {"breaks": "breaks", "results": "may change results", "none": "no effect"}
_COLOURS: dict[Grade, str] = {"breaks": "red", "results": "yellow", "none": "dim"}
# The choices of --fail-on, and how many of the grades each takes.
_FAILING = {"breaks": 1, "results": 2, "any": 3, "never": 0}
_FILES = 5


@click.command(short_help="Does the environment still match its lockfile?")
@click.argument("lock", type=click.Path(dir_okay=False, path_type=Path), default=options.DEFAULT_LOCK)
@options.target_python
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Compare the job's code in this directory too (default: it may change).",
)
@click.option(
    "--fail-on",
    type=click.Choice(tuple(_FAILING)),
    default="results",
    show_default=True,
    help="The least drift that fails the check.",
)
@click.option(
    "--ignore",
    "ignored",
    type=click.Choice(PARTS),
    multiple=True,
    help="Leave a part of the lock out, cpu and gpu on another machine, say. May be given more than once.",
)
@options.verify
@options.as_json
@options.quiet
@options.verbose
def command(
    *,
    lock: Path,
    python: Path | None,
    project: Path | None,
    fail_on: str,
    ignored: tuple[str, ...],
    verify: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """List what has changed in the environment since LOCK was captured, the gravest first.

    \b
    breaks              what the lock's jobs need is not there
    may change results  they run, with other bytes or on another machine
    no effect           told because the lock has it

    Exit 0: nothing has drifted that --fail-on names; 1: something has.

    \b
    envlock check
    envlock check pylock.exp.toml --python ~/venvs/exp/bin/python --json
    envlock check --ignore cpu --ignore gpu      the software only, as on a CI machine
    """
    locked = file.read(lock)
    store = storage.store(anew=verify)
    now = _environment(python, project, store, quiet=quiet)
    found = tuple(one for one in drift(locked, now) if one.part not in ignored)
    drifted = fails(found, fail_on)
    unseen = unchecked(locked, now)
    if as_json:
        plain.print_json(_members(found, unseen, drifted=drifted))
    else:
        _print(found, unseen, drifted=drifted)
    return 1 if drifted else 0


def fails(found: Iterable[Drift], fail_on: str) -> bool:
    """Say whether any of ``found`` is as grave as ``--fail-on`` asks."""
    return any(one.grade in GRADES[: _FAILING[fail_on]] for one in found)


def _environment(python: Path | None, project: Path | None, store: Store, *, quiet: bool) -> Environment:
    environ = without_hook(os.environ, sys.prefix)
    found = environment.read(
        python or active_python(environ),
        project=project,
        environ=environ,
        progress=plain.progress(quiet=quiet),
        store=store,
    )
    # As a capture sees them.
    of_the_job, _ = without_envlock(tuple(map(without_launchers, found.distributions)))
    return replace(found, distributions=of_the_job)


def without_hook(environ: Mapping[str, str], own_prefix: str) -> dict[str, str]:
    """Return the variables without the environment that pre-commit runs a hook in.

    It makes one for the hook and activates it, so that VIRTUAL_ENV names envlock's own installation; the
    user's environment is then the next on PATH.
    """
    active = environ.get("VIRTUAL_ENV", "")
    hook = environ.get("PRE_COMMIT") == "1" and os.path.realpath(active) == os.path.realpath(own_prefix)
    return {name: value for name, value in environ.items() if not (hook and name == "VIRTUAL_ENV")}


def _members(found: tuple[Drift, ...], unseen: tuple[Gap, ...], *, drifted: bool) -> dict[str, object]:
    return {
        "drifted": drifted,
        "grade": found[0].grade if found else None,
        "differences": [asdict(one) for one in found],
        "unchecked": [{"subject": gap.subject, "reason": gap.reason} for gap in unseen],
    }


def _print(found: tuple[Drift, ...], unseen: tuple[Gap, ...], *, drifted: bool) -> None:
    counts = Counter(one.grade for one in found)
    told = ", ".join(f"{counts[grade]} {_TITLES[grade]}" for grade in GRADES if counts[grade])
    verdict = "[bold red]drifted[/]" if drifted else "[bold green]matches the lock[/]"
    terminal.out.print(f"{verdict}: {told}" if told else verdict)
    groups = [(_TITLES[grade], [_row(one) for one in found if one.grade == grade]) for grade in GRADES]
    print_groups(groups, ("locked", "now"))
    for gap in unseen:
        terminal.out.print(
            Text(f"not checked  {printable(gap.subject)}: {printable(gap.reason)}", style="yellow")
        )


def _row(one: Drift) -> Row:
    more = f" and {len(one.files) - _FILES} more" if len(one.files) > _FILES else ""
    return Row(
        cells=(f"{one.part}: {one.subject}", one.locked or "-", one.found or "-"),
        note=", ".join(one.files[:_FILES]) + more,
        colour=_COLOURS[one.grade],
    )
