"""``envlock compare``: are the results of runs the same, to the bit?"""

from pathlib import Path

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from envlock.cli import options, terminal
from envlock.replay.compare import Comparison, OutputComparison, compare, to_document
from envlock.replay.context import Difference
from envlock.replay.reading import read_record
from envlock.runtime.errors import UsageError

_SHORT = 12
_MOST_REASONS = 12
_AT_LEAST = 2
_STYLES = {"equal": "green", "differ": "red", "not in all": "red", "missing": "yellow"}


@click.command(short_help="Are the results of runs the same, to the bit?")
@click.argument("records", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@options.as_json
@options.quiet
def command(*, records: tuple[Path, ...], as_json: bool, quiet: bool) -> int:
    """Compare the run records A B [...]: exit statuses and outputs decide, the rest explains.

    Exit status: 0 identical, 1 different.

    \b
    envlock compare first.json second.json
    envlock compare --json out/records/*.json
    """
    if len(records) < _AT_LEAST:
        raise UsageError("one record is nothing to compare", expected="at least two")
    comparison = compare(tuple(map(read_record, records)))
    if as_json:
        terminal.print_json(to_document(comparison) | {"records": [str(file) for file in records]})
    elif not quiet:
        titles = tuple(f"run {number}" for number in range(1, len(records) + 1))
        print_comparison(comparison, titles)
        for title, file in zip(titles, records, strict=True):
            terminal.out.print(f"[dim]{title}  {escape(str(file))}[/]")
    return 0 if comparison.verdict == "identical" else 1


def print_comparison(comparison: Comparison, titles: tuple[str, ...]) -> None:
    """Print verdict, outputs and what explains them on standard output."""
    terminal.out.print(_verdict(comparison))
    terminal.out.print(_table(comparison, titles))
    word = "why" if comparison.verdict == "different" else "although"
    for difference in comparison.differences[:_MOST_REASONS]:
        terminal.out.print(f"[bold]{word}[/]  {_reason(difference)}")
    hidden = len(comparison.differences) - _MOST_REASONS
    if hidden > 0:
        terminal.out.print(f"     and {hidden} more: --json lists them all")
    if comparison.verdict == "different" and not comparison.differences:
        terminal.out.print(
            "[bold]why[/]  nothing recorded differs: the job itself does not repeat. "
            "Try `determinism: strict`, which refuses what can't be made deterministic"
        )


def _verdict(comparison: Comparison) -> str:
    total = len(comparison.outputs)
    if comparison.verdict == "identical":
        return f"[bold green]identical[/]  {_count(total, 'output')}, bit for bit"
    parts = []
    if comparison.unequal:
        parts.append(f"{len(comparison.unequal)} of {_count(total, 'output')}")
    if len(set(comparison.exit_statuses)) > 1:
        parts.append("the exit status")
    return f"[bold red]different[/]  {' and '.join(parts)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _table(comparison: Comparison, titles: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("output", overflow="fold")
    for title in (*titles, ""):
        table.add_column(title, no_wrap=True)
    for output in comparison.outputs:
        table.add_row(*_row(output))
    if len(set(comparison.exit_statuses)) > 1:
        table.add_row("[italic]exit status[/]", *map(str, comparison.exit_statuses), "[red]differ[/]")
    return table


def _row(output: OutputComparison) -> tuple[str, ...]:
    style = _STYLES[output.match]
    hashes = (sha256[:_SHORT] if sha256 else "-" for sha256 in output.sha256)
    return (escape(output.path), *hashes, f"[{style}]{output.match}[/]")


def _reason(difference: Difference) -> str:
    values = " → ".join("-" if value is None else _short(value) for value in difference.values)
    return f"{escape(difference.subject)}: {escape(values)}"


def _short(value: str) -> str:
    """Shorten a digest; anything else is shown whole."""
    digits = value.removeprefix("sha256:")
    is_digest = len(digits) == 64 and set(digits) <= set("0123456789abcdef")  # noqa: PLR2004 - SHA-256
    return f"{digits[:_SHORT]}…" if is_digest else value
