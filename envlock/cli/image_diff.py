"""``envlock image-diff``: which config, layers and files differ between two images, and why."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict

import click
from rich.markup import escape
from rich.table import Table

from envlock.cli import inputs, options, terminal
from envlock.core.digest import Digest
from envlock.core.progress import Progress
from envlock.engines import unpacked
from envlock.image.difference import Difference, FileDifference, ImageDifference, Side, difference
from envlock.lock import codec
from envlock.lock.model import Lock
from envlock.oci.contents import LayerContents, merged, read_layer
from envlock.oci.reader import OpenedImage
from envlock.runtime.errors import EnvlockError

_LOCK = "/opt/envlock/pylock.envlock.toml"
_MOST_FILES = 20
_SHORT = 19  # characters of a digest, its algorithm's name included
_CHANGES = ("changed", "added", "removed")


@click.command(short_help="Which config, layers and files differ between two images, and why.")
@click.argument("a")
@click.argument("b")
@click.option("--all", "everything", is_flag=True, help="List every file, not only counts for each package.")
@options.as_json
@options.quiet
def command(*, a: str, b: str, everything: bool, as_json: bool, quiet: bool) -> int:
    """Show what changes from image A to image B. Exit status: 0 nothing, 1 something.

    An image is oci:DIR, oci-archive:FILE, docker-archive:FILE, docker:TAG, or a path of one on disk.

    \b
    envlock image-diff oci-archive:before.tar oci-archive:after.tar
    envlock image-diff --json docker:team/exp:1 docker:team/exp:2
    """
    progress = terminal.progress(quiet=quiet or as_json)
    store = inputs.store()
    with unpacked.opened(a, store, progress) as first, unpacked.opened(b, store, progress) as second:
        found = _compare(first, second, progress)
    if as_json:
        terminal.print_json(asdict(found) | {"same": found.empty})
    elif not quiet:
        _print(found, everything=everything)
    return 0 if found.empty else 1


def _compare(a: OpenedImage, b: OpenedImage, progress: Progress) -> ImageDifference:
    """Read each layer once; where both images have the same layers, there is nothing to read."""
    known: dict[Digest, LayerContents] = {}
    if [layer.diff_id for layer in a.image.layers] != [layer.diff_id for layer in b.image.layers]:
        pairs = {layer.diff_id: (image, layer) for image in (a, b) for layer in image.image.layers}
        total = sum(layer.size for _, layer in pairs.values())
        with progress.task("reading layers", total, "B") as advance:
            for diff_id, (image, layer) in pairs.items():
                known[diff_id] = read_layer(image, layer, _is_wanted)
                advance(layer.size)
    return difference(_side(a, known), _side(b, known))


def _is_wanted(path: str) -> bool:
    return path == _LOCK or path.endswith(".dist-info/RECORD")


def _side(opened: OpenedImage, known: dict[Digest, LayerContents]) -> Side:
    image = opened.image
    contents = [known[layer.diff_id] for layer in image.layers if layer.diff_id in known]
    kept = {path: data for one in contents for path, data in one.kept.items()}
    return Side(
        digest=image.digest,
        config=json.loads(image.config),
        layers=image.layers,
        files=merged(contents),
        records={path: data for path, data in kept.items() if path != _LOCK},
        lock=_lock(kept.get(_LOCK)),
    )


def _lock(data: bytes | None) -> Lock | None:
    """Return the lock inside an image; without one, or with one that can't be read, reasons are unknown."""
    try:
        return None if data is None else codec.loads(data, _LOCK)
    except EnvlockError:
        return None


def _print(found: ImageDifference, *, everything: bool) -> None:
    if found.empty:
        same = "identical" if found.same_digest else "the same config and layers, in another manifest"
        terminal.out.print(f"[bold green]{same}[/]")
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
