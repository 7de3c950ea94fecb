"""``envlock check``: does the environment still match its lockfile?"""

import os
from pathlib import Path

import click
from rich.table import Table

from envlock import capture
from envlock.cli import options, terminal
from envlock.lock import file
from envlock.lock.drift import Drift, drift

_COLOURS = {"environment": "red", "host": "yellow", "note": "dim"}


@click.command(short_help="Does the environment still match its lockfile?")
@click.argument("lock", type=click.Path(dir_okay=False, path_type=Path), default=options.DEFAULT_LOCK)
@options.target_python
@options.as_json
@options.quiet
def command(*, lock: Path, python: Path | None, as_json: bool, quiet: bool) -> int:
    """List what has changed in the environment since LOCK was captured.

    Exit 0: nothing that the environment-id covers has drifted; 1: something has. Drift of the host
    (another CPU or driver) may change the numerics; it is listed, and does not fail the check.

    \b
    envlock check
    envlock check pylock.exp.toml --python ~/venvs/exp/bin/python --json
    """
    locked = file.read(lock)
    progress = terminal.progress(quiet=quiet)
    now = capture.read(
        python or capture.active_python(os.environ), project=None, environ=os.environ, progress=progress
    )
    found = drift(locked, now)
    drifted = any(one.grade == "environment" for one in found)
    if as_json:
        terminal.print_json({"drifted": drifted, "differences": [_member(one) for one in found]})
    else:
        _print(found, drifted=drifted)
    return 1 if drifted else 0


def _member(one: Drift) -> dict[str, object]:
    return {"grade": one.grade, "subject": one.subject, "locked": one.locked, "found": one.found}


def _print(found: tuple[Drift, ...], *, drifted: bool) -> None:
    verdict = "[bold red]drifted[/]" if drifted else "[bold green]matches the lock[/]"
    terminal.out.print(verdict)
    if not found:
        return
    table = Table("grade", "what", "locked", "now", box=None, header_style="dim", pad_edge=False)
    for one in found:
        table.add_row(one.grade, one.subject, one.locked or "-", one.found or "-", style=_COLOURS[one.grade])
    terminal.out.print(table)
