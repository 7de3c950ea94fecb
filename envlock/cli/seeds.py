"""``envlock seeds``: every seed that a manifest hands out."""

from pathlib import Path

import click
from rich import box
from rich.table import Table

from envlock.cli import options, plain, terminal
from envlock.cli.run import parse_seed
from envlock.replay.reading import read_manifest
from envlock.runtime import seeds


@click.command(short_help="Show every seed that a manifest hands out.")
@click.argument("manifest", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", metavar="N", help="Master seed instead of the manifest's.")
@click.option("--trial", type=click.IntRange(min=0), metavar="N", help="Trial instead of the manifest's.")
@click.option(
    "--ranks",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes of a distributed run.",
)
@options.as_json
def command(*, manifest: Path, seed: str | None, trial: int | None, ranks: int, as_json: bool) -> None:
    """Show the seed of each library's stream under MANIFEST, without running anything.

    \b
    envlock seeds run.yaml
    envlock seeds run.yaml --seed 43 --ranks 4 --json
    """
    found = read_manifest(manifest)
    asked = found.replace(
        seed=found.seed if seed is None else parse_seed(seed), trial=found.trial if trial is None else trial
    )
    rows = seeds.table(asked, ranks)
    if as_json:
        # Text: JSON readers other than Python's lose integers above 2^53.
        plain.print_json(
            [{"stream": s, "bits": bits, "path": path, "seed": str(value)} for s, bits, path, value in rows]
        )
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("stream", "bits", "seed"):
        table.add_column(title, justify="left" if title == "stream" else "right", no_wrap=True)
    table.add_column("path", overflow="fold")
    for stream, bits, path, value in rows:
        table.add_row(stream, str(bits), str(value), path)
    terminal.out.print(table)
