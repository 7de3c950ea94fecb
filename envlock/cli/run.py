"""``envlock run``: a job in the image, seeded and recorded."""

import json
import os
from pathlib import Path

import click
from rich.markup import escape

from envlock.cli import execution, options, plain, terminal
from envlock.replay import code
from envlock.replay.reading import read_manifest
from envlock.replay.run import Numerics, Places, Ran, ask, run
from envlock.runtime import decimals, names
from envlock.runtime.errors import UsageError
from envlock.runtime.fingerprint import document
from envlock.runtime.manifest import TRACES, Manifest
from envlock.runtime.record import RunRecord


@click.command(
    cls=execution.RunCommand,
    short_help="Run a job in the image, seeded and recorded.",
    options_metavar="[OPTIONS]",
    epilog="Exit status: the job's own; 121 when envlock itself could not run it.",
)
@click.argument("manifest", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option(
    "--seed", metavar="N", help="Master seed, an integer of at least 0 (default: the manifest's, else drawn)."
)
@click.option("--trial", type=click.IntRange(min=0), metavar="N", help="Trial of the experiment.")
@click.option("--experiment", metavar="NAME", help="Experiment that the seeds belong to.")
@click.option(
    "--trace",
    type=click.Choice(TRACES),
    help="Write down what is computed; envlock compare finds where runs part (default: the manifest's).",
)
@execution.options
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory that the job sees as /out and as ./out (default: out in the working directory).",
)
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the run record goes (default: records/ in the out directory).",
)
@click.option(
    "--fingerprint",
    is_flag=True,
    help="Hash what the frameworks compute on this host, into the record; without a command, as JSON to "
    "standard output.",
)
@click.option(
    "--against",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Take the fingerprint and compare it with the one in FILE, a run record or a fingerprint.",
)
@click.option("--check", is_flag=True, help="Say how this host compares with the captured one; run nothing.")
@click.option(
    "--json", "as_json", is_flag=True, help="End standard error with one line of JSON about the run."
)
@options.quiet
@options.verbose
def command(
    *,
    manifest: Path | None,
    seed: str | None,
    trial: int | None,
    experiment: str | None,
    trace: str | None,
    image: str | None,
    engine: str,
    user: str | None,
    work: Path,
    out: Path | None,
    record: Path | None,
    fingerprint: bool,
    against: Path | None,
    check: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run MANIFEST, or the command after --, in the image.

    The current directory is /work and ./out is /out. Standard output and input are the job's alone;
    what envlock says goes to standard error.

    \b
    envlock run run.yaml
    envlock run --seed 42 -- python train.py
    envlock run run.yaml --seed 43 --out results/43
    envlock run run.yaml --engine docker --image docker:team/exp:1
    envlock run run.yaml --trace modules --out results/42
    envlock run --fingerprint >this-host.json
    envlock run --check --against out/records/RECORD.json
    """
    numerics = Numerics(take=fingerprint, against=_readable(against))
    asked = _asked(manifest, seed=seed, trial=trial, experiment=experiment, trace=trace)
    if not (asked.command or check or numerics.arguments):
        raise _nothing_to_run()
    progress = plain.progress(quiet=quiet)
    choice = execution.Choice(engine=engine, image=image, user=user)
    if check or not asked.command:
        opened = choice.open(progress)
        return ask(asked, opened, job=choice.job(), check=check, quiet=quiet, numerics=numerics)
    places = Places(work=work, out=out or work / "out", record=record)
    if not quiet:
        terminal.err.print(_opening(asked), style="dim", markup=False)
        execution.announce(numerics)
    opened, job = choice.open(progress), choice.job()
    ran = run(asked, opened, places, job=job, code_commit=code.commit(work), numerics=numerics)
    if as_json:
        click.echo(json.dumps(_summary(ran), sort_keys=True), err=True)
    elif not quiet:
        _print(ran)
    return ran.exit_status


def _asked(
    file: Path | None, *, seed: str | None, trial: int | None, experiment: str | None, trace: str | None
) -> Manifest:
    """Return the manifest with the options applied and a seed, drawn if nobody gave one."""
    words = execution.words()
    found = read_manifest(file) if file else Manifest()
    return found.replace(
        seed=_seed(seed, found.seed),
        trial=found.trial if trial is None else trial,
        experiment=_experiment(experiment, found.experiment),
        determinism=found.determinism.replace(trace=trace or found.determinism.trace),
        command=words or found.command,
    )


def _nothing_to_run() -> UsageError:
    return UsageError(
        "nothing to run",
        expected="a manifest with a command, or a command after --",
        hint="envlock run -- python train.py",
    )


def _readable(file: Path | None) -> Path | None:
    """Return the file that a fingerprint is compared with, once it is known to hold one."""
    if file is not None:
        document.read(str(file))
    return file


def _seed(given: str | None, of_manifest: int | None) -> int:
    if given is not None:
        return parse_seed(given)
    return int.from_bytes(os.urandom(8), "big") if of_manifest is None else of_manifest


def parse_seed(text: str) -> int:
    """Return the integer of any size that ``--seed`` names. Raises UsageError."""
    value = decimals.from_text(text)
    if value is None:
        raise UsageError("not a seed", where="--seed", expected="an integer of at least 0", found=repr(text))
    return value


def _experiment(given: str | None, of_manifest: str) -> str:
    if given is None:
        return of_manifest
    problem = names.problem(given)
    if problem:
        raise UsageError("not an experiment's name", where="--experiment", found=problem)
    return given


def _opening(asked: Manifest) -> str:
    return f"experiment {asked.experiment}, trial {asked.trial}, seed {asked.seed}"


def _summary(ran: Ran) -> dict[str, object]:
    outputs = ran.record.outputs if ran.record else ()
    return {
        "exit-status": ran.exit_status,
        "record": None if ran.file is None else str(ran.file),
        "outputs": [output.as_dict() for output in outputs],
    }


def _print(ran: Ran) -> None:
    if ran.record is None:
        terminal.err.print(
            "[yellow]no record[/]: the image's entrypoint refused the run, or could not write one"
        )
        return
    for warning in warnings(ran.record):
        terminal.err.print(f"[yellow]warning[/] {escape(warning)}")
    for output in ran.record.outputs:
        found = f"sha256:{output.sha256[:12]}…  {output.size} bytes" if output.sha256 else "[red]missing[/]"
        terminal.err.print(f"  output  {escape(output.path)}  {found}")
    numerics = ran.record.fingerprint
    if numerics is not None:
        terminal.err.print(f"  numerics  {numerics.digest[:12]}  {numerics.count} operations")
    terminal.err.print(f"  record  {ran.file}", markup=False)


def warnings(record: RunRecord) -> list[str]:
    """Return what may keep this run from giving the same bits elsewhere."""
    kept = [
        f"{one.name}={one.value} was kept; envlock would have set {one.wanted or 'nothing'}"
        for one in record.kept
    ]
    operations = [
        f"{one.operation} has no deterministic variant ({one.where})" for one in record.nondeterministic
    ]
    reasons = [] if record.grade == "same" else list(record.reasons)
    return [*reasons, *kept, *operations]
