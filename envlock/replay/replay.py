"""Running a recorded run again, and comparing.

Rules kept here:

* The image must be the record's: the same config digest, or the same environment and runtime.
* The manifest is the record's, with every input pinned to the hash that the first run saw.
* Outputs go to a directory that was empty. What the job writes elsewhere in the working directory
  is set aside before and put back after, so the first run's files and records stay as they were.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from envlock.engines.engine import Engine, ImageFacts, Job
from envlock.replay.compare import Comparison
from envlock.replay.recorded import Recorded
from envlock.replay.run import NO_NUMERICS, Numerics, Places, Ran, run
from envlock.replay.verdict import verdict
from envlock.runtime.errors import InputError, RefusedError, UsageError
from envlock.runtime.manifest import Input, Manifest
from envlock.runtime.masking import MASK
from envlock.runtime.record import RunRecord, file_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The second run and the verdict on both."""

    ran: Ran
    comparison: Comparison


def replay(
    first: Recorded,
    manifest: Manifest,
    engine: Engine,
    places: Places,
    *,
    job: Job,
    code_commit: str | None = None,
    numerics: Numerics = NO_NUMERICS,
) -> Replayed:
    """Run ``manifest`` (see :func:`recorded_manifest`) again and compare it with the ``first`` run.

    Raises InputError when the image is another one, and RefusedError when the run left no record.
    """
    check_image(first.record, engine.image)
    check_complete(manifest)
    with _set_aside(manifest, places):
        ran = run(manifest, engine, places, job=job, code_commit=code_commit, numerics=numerics)
    if ran.record is None or ran.file is None:
        raise RefusedError("the replay left no record", found=f"exit status {ran.exit_status}")
    second = Recorded(record=ran.record, file=ran.file, out=places.out)
    return Replayed(ran=ran, comparison=verdict((first, second)))


def recorded_manifest(record: RunRecord) -> Manifest:
    """Return the manifest that repeats the run: its environment and its inputs' hashes filled in."""
    inputs = tuple(Input(one.path, one.sha256) for one in record.inputs)
    return record.manifest.replace(environment_id=record.environment_id, inputs=inputs)


def recorded_numerics(record: RunRecord, file: Path) -> Numerics:
    """Return what makes the second run comparable: a fingerprint where the first, in ``file``, has one."""
    return Numerics(against=file) if record.fingerprint else NO_NUMERICS


def fresh_directory(record: RunRecord, out: Path) -> Path:
    """Return a directory below ``out/replays`` that is not there yet, named after the first run."""
    name = file_name(record).removesuffix(".json")
    candidates = (
        out / "replays" / (name if count == 1 else f"{name}-{count}") for count in range(1, 1_000_000)
    )
    return next(path for path in candidates if not path.exists())


def check_fresh(directory: Path) -> None:
    """Refuse a directory with anything in it: a replay must not mix with earlier results."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(
            "a replay needs a directory of its own",
            where=str(directory),
            expected="an empty directory or none",
            hint="leave --out out, and one is made below out/replays",
        )


def check_image(record: RunRecord, image: ImageFacts) -> None:
    """Raise InputError when ``image`` is not what the record ran in."""
    config = str(image.config_digest or "unknown")
    if record.image_config == config or record.environment_id == image.environment_id:
        return
    raise InputError(
        "the image is not the one that was recorded",
        expected=f"environment {record.environment_id} (image {record.image_config or 'not recorded'})",
        found=f"environment {image.environment_id or 'unknown'} (image {config})",
        hint="name the right one with --image, or build it again from its lockfile",
    )


def check_complete(manifest: Manifest) -> None:
    """Raise InputError when the record lacks what looked like a secret, and nobody gave it again."""
    variables = [name for name, value in manifest.env if MASK in value]
    words = [word for word in manifest.command if MASK in word]
    if variables or words:
        raise InputError(
            "the record holds no secrets, and this run needs some",
            found=", ".join((*variables, *words)),
            hint="give variables again with --env NAME=VALUE, and a command with secrets after --",
        )


@contextmanager
def _set_aside(manifest: Manifest, places: Places) -> Iterator[None]:
    """Move the first run's outputs outside ``out`` away for the block; then keep the second's, too.

    The first run's files wait in ``first-run`` of the replay's directory; if envlock is killed they
    are found there. The second run's end in its ``work``.
    """
    waiting, kept = places.out / "first-run", places.out / "work"
    outputs = tuple(_outside_out(manifest))
    for name in outputs:
        _move(places.work / name, waiting / name)
    try:
        yield
    finally:
        for name in outputs:
            _move(places.work / name, kept / name)
            _move(waiting / name, places.work / name)
        shutil.rmtree(waiting, ignore_errors=True)


def _outside_out(manifest: Manifest) -> Iterator[str]:
    """Yield the declared outputs that lie in /work and not in its ``out``."""
    for output in manifest.outputs:
        path = PurePosixPath("/work") / output.path
        if path.is_relative_to("/work") and not path.is_relative_to("/work/out"):
            yield str(path.relative_to("/work"))


def _move(source: Path, target: Path) -> None:
    if os.path.lexists(source):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source, target)
