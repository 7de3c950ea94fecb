"""Groups of changes as aligned columns: a title with its count, a row each, a note below where there is one.

On a terminal a long value is folded inside its column; in a pipe no line is ever folded or cut. Text from
files is shown printable.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from envlock.cli import terminal
from envlock.core.printable import printable

_INDENT = 2
_GAP = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One change. All rows of all groups have as many cells."""

    cells: tuple[str, ...]
    note: str = ""
    colour: str = ""


def print_groups(
    groups: Iterable[tuple[str, Sequence[Row]]],
    titles: tuple[str, ...],
    most: Mapping[str, int] | None = None,
) -> None:
    """Print each group that has rows; ``titles`` name the cells after the first.

    ``most`` caps the rows of the groups that it names; what is left out is counted.
    """
    limits = most or {}
    shown = [(name, rows, rows[: limits.get(name, len(rows))]) for name, rows in groups if rows]
    if not shown:
        return
    titled = [(f"{name} ({len(every)})", every, rows) for name, every, rows in shown]
    first = max(len(title) - _INDENT for title, _, _ in titled)
    first = max(first, *(len(printable(row.cells[0])) for _, _, rows in shown for row in rows))
    for title, every, rows in titled:
        widths = _widths([Row(cells=("", *titles)), *rows], first)
        fits = len(title) <= widths[0] + _INDENT
        terminal.out.print()
        if not fits:
            terminal.out.print(f"[bold]{title}[/]")
        _print_rows([Row(cells=(title if fits else "", *titles), colour="bold")], widths, indent=0)
        _print_rows(rows, widths, indent=_INDENT)
        if len(every) > len(rows):
            terminal.out.print(f"[dim]{' ' * _INDENT}and {len(every) - len(rows)} more; --json lists all[/]")


def _widths(rows: Sequence[Row], first: int) -> list[int]:
    """Return the columns' widths, without the indent: the texts', and shares where the terminal is narrow.

    The ``first`` column is as wide in every group, so that the eye can run down the second.
    """
    wanted = [max(len(printable(row.cells[i])) for row in rows) for i in range(len(rows[0].cells))]
    wanted[0] = first
    left = max(terminal.out.width - _INDENT - _GAP * len(wanted), 8 * len(wanted))
    widths = [min(wanted[0], left * 2 // 5)]
    left -= widths[0]
    for i, want in enumerate(wanted[1:], 1):
        # What a column does not need goes to those after it.
        share = left // (len(wanted) - i)
        others = sum(min(other, share) for other in wanted[i + 1 :])
        widths.append(min(want, max(share, left - others)))
        left -= widths[-1]
    return widths


def _print_rows(rows: Sequence[Row], widths: Sequence[int], indent: int) -> None:
    table = _table(widths, indent)
    for row in rows:
        table.add_row(*(Text(printable(cell), style=row.colour, overflow="fold") for cell in row.cells))
        if row.note:
            _print_table(table, indent)
            terminal.out.print(Text(f"{' ' * _INDENT * 2}{printable(row.note)}", style="dim"))
            table = _table(widths, indent)
    if table.row_count:
        _print_table(table, indent)


def _print_table(table: Table, indent: int) -> None:
    terminal.out.print(Padding(table, (0, 0, 0, indent), expand=False), soft_wrap=False)


def _table(widths: Sequence[int], indent: int) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
    for i, width in enumerate(widths):
        table.add_column(width=width + (_INDENT - indent if i == 0 else 0))
    return table
