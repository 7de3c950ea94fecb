"""What differs between two images, as a person reads it: why, config, layers, then the files."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from rich.markup import escape
from rich.table import Table

from envlock.cli import terminal
from envlock.image.difference import Difference, FileDifference, ImageDifference

_MOST_FILES = 20
_SHORT = 19  # characters of a digest, its algorithm's name included
_CHANGES = ("changed", "added", "removed")


def print_difference(found: ImageDifference, *, everything: bool) -> None:
    """Print ``found``; not ``everything``: files of packages are counted, and the list of others is cut."""
    if found.empty:
        same = "identical" if found.same_digest else "the same config and layers, in another manifest"
        terminal.out.print(f"[bold green]{same}[/]")
        for one in found.blobs:
            terminal.out.print(f"  compressed otherwise: {escape(one.subject)}")
        return
    parts = {"config value": found.config, "layer": found.layers, "file": found.files}
    counts = ", ".join(f"{len(one)} {name}{'s' * (len(one) != 1)}" for name, one in parts.items() if one)
    terminal.out.print(f"[bold red]different[/]  {counts}")
    table = Table("", "before", "after", box=None, header_style="dim", pad_edge=False)
    _section(table, "why", found.reasons, str)
    _section(table, "config", found.config, str)
    _section(table, "layers", found.layers, lambda digest: digest[:_SHORT])
    terminal.out.print(table)
    for line in _file_lines(found.files, everything=everything):
        terminal.out.print(line)


def _section(table: Table, title: str, rows: Iterable[Difference], shown: Callable[[str], str]) -> None:
    for number, row in enumerate(rows):
        if number == 0:
            table.add_section()
            table.add_row(f"[bold]{title}[/]")
        cells = ("-" if value is None else escape(shown(value)) for value in (row.before, row.after))
        table.add_row(f"  {escape(row.subject)}", *cells)


def _file_lines(files: tuple[FileDifference, ...], *, everything: bool) -> Iterator[str]:
    """Yield one line a package with its counts, then the files that no package owns."""
    if files:
        yield "[bold]files[/]"
    owned = [] if everything else [one for one in files if one.owner]
    for owner in sorted({one.owner for one in owned}):
        counts = Counter(str(one.change) for one in owned if one.owner == owner)
        told = (f"{counts[change]} {change}" for change in _CHANGES if counts[change])
        yield f"  {escape(owner)}: {', '.join(told)}"
    loose = files if everything else tuple(one for one in files if not one.owner)
    shown = loose if everything else loose[:_MOST_FILES]
    for one in shown:
        what = f" ({', '.join(one.what)})" if one.what else ""
        yield f"  {escape(one.path)}: {one.change}{what}"
    if len(shown) < len(loose):
        yield f"  and {len(loose) - len(shown)} more: --all or --json lists them"
