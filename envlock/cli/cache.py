"""``envlock cache``: what the cache holds, and taking away what is no longer needed."""

import os
import re
import time
from collections.abc import Iterable

import click
from rich.table import Table

from envlock.cli import options, plain, terminal
from envlock.host import cache
from envlock.host.cache import KINDS, Entry
from envlock.host.store import Store, default_root

_UNITS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
_AGE = re.compile(r"(\d+)([hdw]?)")


def age(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Return the seconds of ``30d``, ``12h``, ``2w`` or a number of days. Raises click.BadParameter."""
    found = _AGE.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no age: expected days, or 12h, 30d, 2w", ctx, param)
    return float(found[1]) * _UNITS[found[2] or "d"]


@click.group(short_help="What the cache holds; take away what is no longer needed.")
def command() -> None:
    """Look after the cache: wheels, layers, unpacked images and interpreters.

    It lies in ENVLOCK_CACHE, XDG_CACHE_HOME/envlock or ~/.cache/envlock. Everything in it can be made or
    fetched again, so removing it costs time and no result.
    """


@command.command()
@options.as_json
def info(*, as_json: bool) -> None:
    """Show what the cache holds, by kind."""
    store = _store()
    with store.used():
        _show(str(store.root), store, tuple(cache.entries(store)), (), as_json=as_json)


@command.command()
@click.option(
    "--older-than",
    callback=age,
    default="30d",
    show_default=True,
    metavar="AGE",
    help="Remove what was not used for so long: 12h, 30d, 2w; a plain number counts days.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@options.as_json
def prune(*, older_than: float, dry_run: bool, as_json: bool) -> None:
    """Remove what was not used lately, and what interrupted commands left behind.

    Refused (exit 4) while another envlock command uses the cache. Images of running jobs stay.
    """
    before = time.time() - older_than
    store = _store()
    with cache.alone(store):
        old = [one for one in cache.entries(store) if one.kind == "unfinished" or one.used <= before]
        _remove(store, old, dry_run=dry_run, as_json=as_json)


@command.command()
@options.as_json
def clear(*, as_json: bool) -> None:
    """Remove everything but the images of running jobs."""
    store = _store()
    with cache.alone(store):
        _remove(store, tuple(cache.entries(store)), dry_run=False, as_json=as_json)


def _store() -> Store:
    return Store(default_root(os.environ))


def _remove(store: Store, chosen: Iterable[Entry], *, dry_run: bool, as_json: bool) -> None:
    removed: list[Entry] = []
    kept: list[Entry] = []
    for entry in chosen:
        gone = dry_run or cache.remove(entry, store)
        (removed if gone else kept).append(entry)
    _show("would be removed" if dry_run else "removed", store, tuple(removed), tuple(kept), as_json=as_json)


def _show(
    title: str, store: Store, entries: tuple[Entry, ...], in_use: tuple[Entry, ...], *, as_json: bool
) -> None:
    """Print entries and bytes by kind. ``in_use``: what had to stay."""
    counted = {
        kind: [one.size for one in entries if one.kind == kind]
        for kind in KINDS
        if as_json or any(one.kind == kind for one in entries)
    }
    if as_json:
        kinds = {kind: {"entries": len(sizes), "bytes": sum(sizes)} for kind, sizes in counted.items()}
        total = sum(one.size for one in entries)
        plain.print_json(
            {
                "cache": str(store.root),
                "kinds": kinds,
                "bytes": total,
                "in-use": [str(one.path) for one in in_use],
            }
        )
        return
    table = Table(title, "entries", "MB", box=None, header_style="bold", pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, sizes in counted.items():
        table.add_row(f"  {kind}", str(len(sizes)), f"{sum(sizes) / 1e6:.1f}")
    table.add_row("  total", str(len(entries)), f"{sum(one.size for one in entries) / 1e6:.1f}")
    terminal.out.print(table)
    for one in in_use:
        terminal.out.print(f"kept, a running job uses it: {one.path}", markup=False)
