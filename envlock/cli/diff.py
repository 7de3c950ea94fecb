"""``envlock diff``: two lockfiles, side by side."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from envlock.cli import options, plain, terminal
from envlock.cli.changes import Row, print_groups
from envlock.lock import file
from envlock.lock.diff import Change, LockDiff, diff

_PACKAGES = {
    "added": "added",
    "removed": "removed",
    "versions": "another version",
    "bytes": "same version, other bytes",
    "recorded": "same bytes, recorded otherwise",
}
_COLOURS = {"added": "green", "removed": "red", "versions": "yellow", "bytes": "magenta"}
# Of each package's libraries and gaps a few tell enough: --json has all.
_MOST = {"libraries": 8, "gaps": 8}
_DIGEST = 19


@click.command(short_help="Compare two lockfiles.")
@click.argument("a", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("b", type=click.Path(dir_okay=False, path_type=Path))
@options.as_json
@options.quiet
@options.verbose
def command(*, a: Path, b: Path, as_json: bool, quiet: bool) -> int:
    """Show what changes from lockfile A to lockfile B. Exit 0: nothing; 1: something.

    \b
    envlock diff pylock.before.toml pylock.after.toml
    """
    found = diff(file.read(a), file.read(b))
    if as_json:
        plain.print_json(_members(found))
    elif not quiet:
        _print(found)
    return 0 if found.empty else 1


def _members(found: LockDiff) -> dict[str, object]:
    packages = {name: [asdict(one) for one in group] for name, group in found.packages}
    return {
        "same": found.empty,
        "same-environment": found.same_environment,
        "environment-id": {"before": str(found.before), "after": str(found.after)},
        "packages": {**packages, "unchanged": found.unchanged},
        "tables": {name: [asdict(one) for one in changes] for name, changes in found.tables},
    }


def _print(found: LockDiff) -> None:
    if found.empty:
        terminal.out.print("[bold green]no difference[/]")
        return
    same = "the same environment-id" if found.same_environment else "another environment-id"
    counts = [f"{len(group)} {_PACKAGES[name]}" for name, group in found.packages if group]
    terminal.out.print(f"[bold]{same}[/]")
    terminal.out.print(f"packages: {'; '.join([*counts, f'{found.unchanged} unchanged'])}")
    if found.tables:
        others = (f"{len(changes)} {name}" for name, changes in found.tables)
        terminal.out.print(f"other tables: {', '.join(others)}")
    groups = [(_PACKAGES[name], _rows(group, _COLOURS.get(name, ""))) for name, group in found.packages]
    groups += [(name, _rows(changes, "")) for name, changes in found.tables]
    print_groups(groups, ("before", "after"), most=_MOST)


def _rows(changes: Sequence[Change], colour: str) -> list[Row]:
    return [
        Row(
            cells=(one.subject, _short(one.before), _short(one.after)),
            note=one.note,
            colour=colour,
        )
        for one in changes
    ]


def _short(value: str | None) -> str:
    """Return a value; of a digest the first twelve digits, which tell it from any other."""
    if value is None:
        return "-"
    return value[:_DIGEST] if value.startswith("sha256:") else value
