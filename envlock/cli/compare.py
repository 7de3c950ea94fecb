"""``envlock compare``: are the results of runs the same, to the bit?"""

from collections.abc import Iterator
from pathlib import Path

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from envlock.cli import options, plain, terminal
from envlock.replay.compare import Comparison, OutputComparison, compare, to_document
from envlock.replay.context import Difference
from envlock.replay.reading import read_record
from envlock.runtime.errors import UsageError
from envlock.runtime.fingerprint.agreement import named

_SHORT = 12
_MOST_REASONS = 12
_AT_LEAST = 2
# Facts of the machine, behind which another kernel may stand.
_HOST = frozenset(("host machine", "host cpu", "host gpu", "gpu driver"))
_STYLES = {"equal": "green", "differ": "red", "not in all": "red", "missing": "yellow"}


@click.command(short_help="Are the results of runs the same, to the bit?")
@click.argument("records", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@options.as_json
@options.quiet
@options.verbose
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
        plain.print_json(to_document(comparison) | {"records": [str(file) for file in records]})
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
    for line in _numerics(comparison, word):
        terminal.out.print(line)
    if comparison.verdict == "different" and not (comparison.differences or _computed_otherwise(comparison)):
        terminal.out.print(
            "[bold]why[/]  nothing recorded differs: the job itself does not repeat. "
            "Try `determinism: strict`, which refuses what can't be made deterministic"
        )


def _computed_otherwise(comparison: Comparison) -> bool:
    return comparison.numerics is not None and bool(comparison.numerics.differing)


def _numerics(comparison: Comparison, word: str) -> Iterator[str]:
    """Yield what the fingerprints say: which operations differ, or that the hosts are not the reason."""
    found = comparison.numerics
    if found is None:
        if comparison.verdict == "different" and _HOST & {one.subject for one in comparison.differences}:
            yield (
                "[dim]hint: with --fingerprint in both runs, this names the operations that these hosts "
                "compute differently[/]"
            )
        return
    if found.differing:
        count = f"{len(found.differing)} of {found.compared} operations"
        yield f"[bold]{word}[/]  numerics: {count} are computed differently: {named(found.differing)}"
    elif found.compared and comparison.verdict == "different":
        yield (
            f"[bold]not[/]  numerics: all {found.compared} operations are computed alike, so look at the "
            "seed, the inputs and what does not repeat"
        )
    if found.differing or comparison.verdict == "different":
        yield from (f"     [dim]fingerprints: {escape(note)}[/]" for note in found.notes)


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
