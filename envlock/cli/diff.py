"""``envlock diff``: two lockfiles, side by side."""

from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from envlock.cli import options, terminal
from envlock.lock import file
from envlock.lock.diff import Change, LockDiff, diff

# The groups as a reader meets them: what decides results first.
_GROUPS = {
    "added": "added",
    "removed": "removed",
    "versions": "another version",
    "bytes": "same version, other bytes",
    "system": "system packages",
    "environment": "interpreter and host",
}


@click.command(short_help="Compare two lockfiles.")
@click.argument("a", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("b", type=click.Path(dir_okay=False, path_type=Path))
@options.as_json
def command(*, a: Path, b: Path, as_json: bool) -> int:
    """Show what changes from lockfile A to lockfile B. Exit 0: nothing; 1: something.

    \b
    envlock diff pylock.before.toml pylock.after.toml
    """
    found = diff(file.read(a), file.read(b))
    if as_json:
        terminal.print_json(asdict(found))
    else:
        _print(found)
    return 0 if found.empty else 1


def _print(found: LockDiff) -> None:
    if found.empty:
        terminal.out.print("[bold green]no difference[/]")
        return
    same = "the same environment-id" if found.same_environment else "another environment-id"
    terminal.out.print(f"[bold]{same}[/]")
    table = Table("", "before", "after", box=None, header_style="dim", pad_edge=False)
    for name, title in _GROUPS.items():
        changes: tuple[Change, ...] = getattr(found, name)
        if changes:
            table.add_section()
            table.add_row(f"[bold]{title}[/] ({len(changes)})")
        for change in changes:
            table.add_row(f"  {change.subject}", change.before or "-", change.after or "-")
    terminal.out.print(table)
