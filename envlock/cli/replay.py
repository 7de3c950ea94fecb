"""``envlock replay``: a recorded run again, verified."""

from pathlib import Path

import click

from envlock.cli import execution, options, plain, terminal
from envlock.cli.comparison import print_comparison
from envlock.replay import code
from envlock.replay.compare import to_document
from envlock.replay.reading import read_record
from envlock.replay.recorded import Recorded
from envlock.replay.replay import (
    check_fresh,
    check_image,
    fresh_directory,
    recorded_manifest,
    recorded_numerics,
    replay,
)
from envlock.replay.run import Places, ask
from envlock.runtime.errors import UsageError
from envlock.runtime.manifest import Manifest


@click.command(cls=execution.JobCommand, short_help="Run a recorded job again and compare.")
@click.argument("record", type=options.RecordFile())
@execution.options
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="An empty directory for the replay's outputs (default: a new one below out/replays).",
)
@click.option(
    "--env",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable of the job, such as a token that the record does not hold; may be given more than once.",
)
@click.option(
    "--check", is_flag=True, help="Say whether this host computes as the recorded one did; run nothing."
)
@options.as_json
@options.quiet
@options.verbose
def command(
    *,
    record: Path,
    image: str | None,
    engine: str,
    user: str | None,
    work: Path,
    out: Path | None,
    variables: tuple[str, ...],
    check: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run the job of RECORD again, in the same image from the same seed, and compare the results.

    Exit status: 0 identical, 1 different. The first run's outputs and records are left alone. The
    job's own output goes to standard output. Where the record holds a numerics fingerprint, this host's
    is taken and compared. The directory that was the run's --out stands for its record, where it holds one.

    \b
    envlock replay out/records/resnet-0-0123456789ab.json
    envlock replay RECORD --image oci-archive:exp.tar
    envlock replay RECORD --env HF_TOKEN="$HF_TOKEN"
    envlock replay RECORD --check
    """
    first = read_record(record)
    manifest = _completed(recorded_manifest(first), variables)
    numerics = recorded_numerics(first, record)
    choice = execution.Choice(engine=engine, image=image, user=user)
    if check:
        opened = choice.open(plain.progress(quiet=quiet))
        check_image(first, opened.image)
        return ask(manifest, opened, job=choice.job(), check=True, quiet=quiet, numerics=numerics)
    directory = out or fresh_directory(first, work / "out")
    check_fresh(directory)
    places = Places(work=work, out=directory)
    opened, job = choice.open(plain.progress(quiet=quiet)), choice.job()
    if not quiet:
        execution.announce(numerics)
    commit = code.commit(work)
    recorded = Recorded(record=first, file=record)
    done = replay(recorded, manifest, opened, places, job=job, code_commit=commit, numerics=numerics)
    if as_json:
        found = to_document(done.comparison) | {"record": str(done.ran.file)}
        plain.print_json(found)
    elif not quiet:
        print_comparison(done.comparison, ("recorded", "replayed"))
        terminal.err.print(f"record {done.ran.file}", style="dim", markup=False)
    return 0 if done.comparison.verdict == "identical" else 1


def _completed(manifest: Manifest, variables: tuple[str, ...]) -> Manifest:
    """Return the manifest with the variables and the command that the user gave again."""
    env = dict(manifest.env)
    for text in variables:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError("not a variable", where="--env", expected="NAME=VALUE", found=repr(text))
        env[name] = value
    return manifest.replace(env=tuple(sorted(env.items())), command=execution.words() or manifest.command)
