"""``envlock compare``: are the results of runs the same, to the bit?"""

from pathlib import Path

import click
from rich.markup import escape

from envlock.cli import options, plain, terminal
from envlock.cli.comparison import print_comparison
from envlock.replay.compare import to_document
from envlock.replay.reading import read_record
from envlock.replay.recorded import Recorded
from envlock.replay.verdict import verdict
from envlock.runtime.errors import UsageError

_AT_LEAST = 2


@click.command(short_help="Are the results of runs the same, to the bit?")
@click.argument("records", nargs=-1, required=True, type=options.RecordFile())
@click.option(
    "--outputs",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="What was a run's --out, once for each record and in their order (default: looked for around the "
    "records). Where bytes differ, the files there tell which tensors and keys do.",
)
@options.as_json
@options.quiet
@options.verbose
def command(*, records: tuple[Path, ...], outputs: tuple[Path, ...], as_json: bool, quiet: bool) -> int:
    """Compare the run records A B [...]: exit statuses and outputs decide, the rest explains.

    The directory that was a run's --out stands for its record, where it holds one.

    Where the files are at hand, .npy, .npz, .safetensors, .pt, .pth, .json, .keras, .zip and .gz are compared
    inside: which tensors or keys differ first, how many elements, and by how much.

    Exit status: 0 identical, 1 different.

    \b
    envlock compare first.json second.json
    envlock compare results/a results/b
    envlock compare --json out/records/*.json
    envlock compare a.json b.json --outputs results/a --outputs results/b
    """
    if len(records) < _AT_LEAST:
        raise UsageError("one record is nothing to compare", expected="at least two")
    if outputs and len(outputs) != len(records):
        raise UsageError(
            "not a place for each record",
            where="--outputs",
            expected=f"it {len(records)} times, in the records' order",
            found=f"{len(outputs)}",
        )
    places = outputs or (None,) * len(records)
    comparison = verdict(
        [
            Recorded(record=read_record(file), file=file, out=out)
            for file, out in zip(records, places, strict=True)
        ]
    )
    if as_json:
        plain.print_json(to_document(comparison) | {"records": [str(file) for file in records]})
    elif not quiet:
        titles = tuple(f"run {number}" for number in range(1, len(records) + 1))
        print_comparison(comparison, titles)
        for title, file in zip(titles, records, strict=True):
            terminal.out.print(f"[dim]{title}  {escape(str(file))}[/]")
    return 0 if comparison.verdict == "identical" else 1
