"""One run, from the first record to the last: inputs, seeds, job, spool, outputs."""

from __future__ import annotations

import contextlib
import os
import sys
import time

from envlock.runtime import decimals, determinism, job, outputs, preparation, record, report, spool, told
from envlock.runtime.image import Gap
from envlock.runtime.masking import MASK
from envlock.runtime.preparation import Prepared
from envlock.runtime.record import FileHash, KeptSwitch, RunRecord, Trace
from envlock.runtime.told import HandedSeed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from envlock.runtime.layout import Layout
    from envlock.runtime.options import Options

_RUN_BYTES = 16
_MODE = 0o7777


def run(prepared: Prepared, given: Options, layout: Layout) -> int:
    """Run the job, write its record and return its exit status. Raises RefusedError for a bad input."""
    begun = _begun(prepared, outputs.checked_inputs(prepared.manifest.inputs, layout.work))
    path = given.record or os.path.join(_records(layout), record.file_name(begun))
    unwritable = _write(path, begun, durable=False)
    _say(given, report.opening(prepared, given, path, unwritable))
    before = outputs.snapshot(layout.out)
    directory = _spool(layout)
    place, untraced = _trace_directory(prepared, layout, record.file_name(begun))
    try:
        environ = preparation.job_environment(
            prepared, run=begun.run, spool=directory, trace=place, quiet=given.quiet
        )
        ended = _job(prepared, environ)
        heard = told.read(spool.merge(directory) if directory else ())
    finally:
        if directory:
            spool.remove(directory)
    traced, incomplete = _traced(prepared, place)
    done = begun.replace(
        state="killed" if ended.signal else "failed" if ended.status else "finished",
        ended=_now(),
        exit_status=ended.status,
        seeds=(*begun.seeds, *heard.seeds),
        nondeterministic=heard.nondeterministic,
        reseedings=heard.reseedings,
        splits=heard.splits,
        gaps=tuple(sorted({*begun.gaps, *heard.gaps, *untraced, *incomplete})),
        outputs=_outputs(prepared, layout, before),
        trace=traced,
    )
    failed = None if unwritable else _write(path, done, durable=True)
    if failed:
        _say(given, report.unfinished(path, failed))
    return ended.status


def _begun(prepared: Prepared, inputs: tuple[FileHash, ...]) -> RunRecord:
    return RunRecord(
        run=os.urandom(_RUN_BYTES).hex(),
        state="running",
        manifest=prepared.manifest,
        rank=prepared.rank,
        environment_id=prepared.image.environment_id,
        lock_sha256=prepared.image.lock_sha256,
        runtime=prepared.image.runtime,
        host=prepared.host,
        started=_now(),
        image_config=prepared.environ.get("ENVLOCK_IMAGE_CONFIG") or None,
        image_manifest=prepared.environ.get("ENVLOCK_IMAGE_MANIFEST") or None,
        code_commit=_code_commit(prepared),
        grade=prepared.verdict.grade,
        reasons=tuple(reason.text for reason in prepared.verdict.reasons),
        seeds=_hash_seed(prepared),
        inputs=inputs,
        switches=prepared.resolution.values,
        kept=tuple(KeptSwitch(*one) for one in prepared.resolution.kept),
        gaps=tuple(sorted({*prepared.image.gaps, *_masked(prepared)})),
        fingerprint=prepared.fingerprint,
    )


def _hash_seed(prepared: Prepared) -> tuple[HandedSeed, ...]:
    value = decimals.from_text(dict(prepared.resolution.values).get(determinism.HASH_SEED, ""))
    return () if value is None else (HandedSeed(f"rank/{prepared.rank.rank}", "python.hash", value),)


def _code_commit(prepared: Prepared) -> str | None:
    project = prepared.image.project
    return prepared.environ.get("ENVLOCK_CODE_COMMIT") or (project.commit if project else None)


def _masked(prepared: Prepared) -> list[Gap]:
    shown = record.without_secrets(prepared.manifest)
    names = [f"env.{name}" for name, value in shown.env if MASK in value]
    names += [f"command[{at}]" for at, word in enumerate(shown.command) if MASK in word]
    return [Gap(name, "looks like a secret: masked, a replay must be given it again") for name in names]


def _job(prepared: Prepared, environ: Mapping[str, str]) -> job.Ended:
    try:
        return job.run(prepared.manifest.command, environ, os.getcwd())
    except job.JobNotStartedError as error:
        # Said even with --quiet: it is the answer to the command, as a shell's would be.
        sys.stderr.write(f"{error.render()}\n")
        return job.Ended(error.exit_code, None)


def _records(layout: Layout) -> str:
    """Return the directory of the records, made as open as /out: the next run may be another user's."""
    with contextlib.suppress(OSError):
        os.mkdir(layout.records)
        os.chmod(layout.records, os.stat(layout.out).st_mode & _MODE)
    return layout.records


def _spool(layout: Layout) -> str | None:
    for parent in (layout.tmp, layout.out):
        with contextlib.suppress(OSError):
            return spool.make(parent)
    return None


def _trace_directory(prepared: Prepared, layout: Layout, name: str) -> tuple[str | None, tuple[Gap, ...]]:
    if prepared.manifest.determinism.trace == "none":
        return None, ()
    from envlock.runtime.trace import files

    return files.make(_records(layout), name)


def _traced(prepared: Prepared, directory: str | None) -> tuple[Trace | None, tuple[Gap, ...]]:
    if directory is None:
        return None, ()
    from envlock.runtime.trace import files

    return files.collected(prepared.manifest.determinism.trace, directory)


def _outputs(
    prepared: Prepared, layout: Layout, before: dict[str, outputs.FileState]
) -> tuple[FileHash, ...]:
    if prepared.manifest.outputs:
        return outputs.declared(prepared.manifest.outputs, layout.work)
    return outputs.written_since(before, layout.out)


def _write(path: str, found: RunRecord, *, durable: bool) -> str | None:
    """Write the record; return why it can't be written, or None."""
    try:
        record.write(path, found, durable=durable)
    except PermissionError as error:
        # Mostly a directory that was mounted, which belongs to whoever mounts it.
        return f"{error.strerror} for user {os.getuid()}; `docker run --user` (or podman's) sets another"
    except OSError as error:
        return error.strerror or str(error)
    return None


def _say(given: Options, text: str) -> None:
    if not given.quiet:
        sys.stderr.write(text)


def _now() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds // 1000:06d}Z"
