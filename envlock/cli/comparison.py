"""What a person is told of runs that were compared."""

from collections.abc import Iterator

from rich import box
from rich.markup import escape
from rich.table import Table

from envlock.cli import terminal
from envlock.cli.partings import partings
from envlock.core.printable import printable
from envlock.replay.compare import Comparison, OutputComparison
from envlock.replay.contents.findings import Distance, Inside, PartDifference
from envlock.replay.context import Difference
from envlock.runtime.fingerprint.agreement import named

_TRACE_HINT = (
    ", or `envlock run --trace modules` for both runs, with which this names the first tensor that differs"
)
_SHORT = 12
_MOST_REASONS = 12
_MOST_PARTS = 5
_LONGEST = 40
_PAIR = 2
_COUNTABLE = 1_000_000
# Facts of the machine, behind which another kernel may stand.
_HOST = frozenset(("host machine", "host cpu", "host gpu", "gpu driver"))
_STYLES = {
    "equal": "green",
    "same values": "green",
    "differ": "red",
    "not in all": "red",
    "missing": "yellow",
}


def print_comparison(comparison: Comparison, titles: tuple[str, ...]) -> None:
    """Print verdict, outputs and what explains them on standard output."""
    terminal.out.print(_verdict(comparison))
    terminal.out.print(_table(comparison, titles))
    for output in comparison.outputs:
        for found in output.inside:
            _print_inside(found, titles, judged=output.match == "same values")
    for line in _explanations(comparison, titles):
        terminal.out.print(line)


def _explanations(comparison: Comparison, titles: tuple[str, ...]) -> Iterator[str]:
    """Yield where the runs part, and what may be the reason."""
    yield from partings(comparison.partings, titles)
    word = "why" if comparison.verdict == "different" else "although"
    for difference in comparison.differences[:_MOST_REASONS]:
        yield f"[bold]{word}[/]  {_reason(difference)}"
    hidden = len(comparison.differences) - _MOST_REASONS
    if hidden > 0:
        yield f"     and {hidden} more: --json lists them all"
    yield from _numerics(comparison, word)
    if comparison.verdict == "different":
        yield from _not_repeating(comparison)


def _not_repeating(comparison: Comparison) -> Iterator[str]:
    """Yield what in the job itself gives another result each time."""
    for suspect in comparison.suspects[:_MOST_REASONS]:
        yield f"[bold]why[/]  {escape(printable(f'{suspect.subject}: {suspect.reason}'))}"
    hidden = len(comparison.suspects) - _MOST_REASONS
    if hidden > 0:
        yield f"     and {hidden} more places: --json lists them all"
    if comparison.differences or comparison.suspects or _computed_otherwise(comparison):
        return
    if comparison.unequal and all(_has_same_values(output) for output in comparison.unequal):
        yield "[bold]why[/]  all values are the same: the files differ by a time, a random name or an order"
    else:
        yield (
            "[bold]why[/]  nothing recorded differs: the job itself does not repeat. "
            "Try `determinism: strict`, which refuses what can't be made deterministic"
            f"{'' if comparison.partings else _TRACE_HINT}"
        )


def _has_same_values(output: OutputComparison) -> bool:
    return output.match == "differ" and bool(output.inside) and all(found.same for found in output.inside)


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
        other = sum(output.match == "same values" for output in comparison.outputs)
        told = f"; {other} of them by their values" if other else ""
        return f"[bold green]identical[/]  {terminal.count(total, 'output')}, bit for bit{told}"
    parts = []
    if comparison.unequal:
        parts.append(f"{len(comparison.unequal)} of {terminal.count(total, 'output')}")
    if len(set(comparison.exit_statuses)) > 1:
        parts.append("the exit status")
    return f"[bold red]different[/]  {' and '.join(parts)}"


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


def _print_inside(found: Inside, titles: tuple[str, ...], *, judged: bool) -> None:
    """Print what is inside an output of two runs whose bytes differ."""
    of = f" of {titles[found.run]}" if len(titles) > _PAIR else ""
    about = f"[bold]inside[/]  {escape(printable(found.path))}{of}"
    if found.unread is not None:
        terminal.out.print(f"{about}: [dim]not compared: {escape(printable(found.unread))}[/]")
        return
    if found.same:
        hint = "" if judged else "; with `compare: tensors` or `json` in the manifest that counts as the same"
        terminal.out.print(f"{about}: the same values in other bytes{hint}")
        return
    terminal.out.print(f"{about}: {len(found.differing)} of {found.parts} parts differ, in the file's order")
    for part in found.differing[:_MOST_PARTS]:
        terminal.out.print(f"        {escape(printable(_part(part)))}")
    if len(found.differing) > _MOST_PARTS:
        terminal.out.print(f"        and {len(found.differing) - _MOST_PARTS} more: --json lists them all")


def _part(part: PartDifference) -> str:
    if part.first is None or part.second is None:
        side = "first" if part.second is None else "second"
        return f"{part.name}: only in the {side}"
    if part.first != part.second:
        told = f"{_cut(part.first)} → {_cut(part.second)}"
        return f"{part.name}: {told}" + (f", {_apart(part.distance)}" if part.distance else "")
    if part.distance is None:
        return f"{part.name}: {_cut(part.first)}"
    count = f"{part.distance.elements} of {terminal.count(part.distance.of, 'element')}"
    return f"{part.name} {part.first}: {count}, {_apart(part.distance)}"


def _apart(distance: Distance) -> str:
    """Return the largest distances, the NaNs that stand on one side only, or that there is no measure."""
    ulp = f"{_counted(distance.ulp)} ULP" if distance.ulp is not None else ""
    absolute = f"{distance.absolute:.3g}" if distance.absolute is not None else ""
    most = ", ".join(fact for fact in (ulp, absolute) if fact)
    most = f"at most {most}" if most and distance.of > 1 else most
    nan = f"NaN in one of the two {distance.nan} times" if distance.nan else ""
    return ", ".join(fact for fact in (most, nan) if fact) or "other bits"


def _counted(number: int) -> str:
    """Return a number whole where a person may count so far."""
    return str(number) if number < _COUNTABLE else f"{number:.1e}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
