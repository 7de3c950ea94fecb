"""One run of a manifest in an image, and the record that it leaves.

Every choice is made here and handed to the image's entrypoint as one manifest, so that run and
replay differ in nothing but where the manifest comes from.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from envlock.engines.engine import Engine, ImageFacts, Job, Mount
from envlock.host.files import scratch_directory
from envlock.replay.reading import read_record
from envlock.runtime import manifest as manifests
from envlock.runtime import record as records
from envlock.runtime.errors import InputError, UsageError
from envlock.runtime.manifest import Manifest
from envlock.runtime.record import RunRecord

_MANIFEST = "/run/envlock/manifest.json"
_RECORDS = "/run/envlock/records"
_AGAINST = "/run/envlock/against"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Directories of this machine: ``work`` is /work, ``out`` is /out and the job's ``./out``.

    ``record`` is the record's file; None: ``records/<experiment>-<trial>-<run>.json`` in ``out``.
    """

    work: Path
    out: Path
    record: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a run ended. No record: the entrypoint refused, or could not write one."""

    exit_status: int
    record: RunRecord | None
    file: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Numerics:
    """What is asked of this host's fingerprint.

    ``take``: compute it. ``against``: compare it with the one in this file, a record or a fingerprint.
    """

    take: bool = False
    against: Path | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """The entrypoint's options."""
        if self.against:
            return ("--against", f"{_AGAINST}/{self.against.name}")
        return ("--fingerprint",) if self.take else ()

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What the container must see for them."""
        if self.against is None:
            return ()
        target = f"{_AGAINST}/{self.against.name}"
        return (Mount(source=self.against.absolute(), target=target, read_only=True),)


NO_NUMERICS = Numerics()


def run(
    manifest: Manifest,
    engine: Engine,
    places: Places,
    *,
    job: Job,
    code_commit: str | None = None,
    numerics: Numerics = NO_NUMERICS,
) -> Ran:
    """Run ``manifest``, which has a seed and a command, and return how it ended.

    ``job`` brings what does not depend on the manifest: user, network, GPUs, terminal, /dev/shm; its
    own variables come on top. Raises UsageError, InputError or UnreachableError before the job starts.
    """
    token = f"running-{os.urandom(6).hex()}.json"
    directory = places.record.absolute().parent if places.record else places.out / "records"
    file = directory / (places.record.name if places.record else token)
    _make(places.out)
    _make(directory)
    named = ("--record", f"{_RECORDS}/{file.name}")
    with _described(manifest) as described, _mount_point(places):
        status = engine.run(
            replace(
                job,
                arguments=("--quiet", "--manifest", _MANIFEST, *named, *numerics.arguments),
                mounts=(
                    *_mounts(places),
                    Mount(source=directory, target=_RECORDS),
                    described,
                    *numerics.mounts,
                ),
                environment=(*_facts(engine.image, code_commit), *job.environment),
            )
        )
    return _ran(status, file, named=places.record is not None)


def ask(manifest: Manifest, engine: Engine, *, job: Job, check: bool, quiet: bool, numerics: Numerics) -> int:
    """Have the image say how this host compares (``check``), or print its fingerprint; no job runs.

    The answer goes to standard output; the exit status is the entrypoint's.
    """
    asked = manifest if check else manifest.replace(command=())
    options = (*(("--check",) if check else ()), *(("--quiet",) if quiet else ()), *numerics.arguments)
    with _described(asked) as described:
        arguments = ("--manifest", _MANIFEST, *options)
        return engine.run(replace(job, arguments=arguments, mounts=(described, *numerics.mounts), tty=False))


@contextmanager
def _described(manifest: Manifest) -> Iterator[Mount]:
    """Have the manifest in a file for the block, and return how the container sees it."""
    with scratch_directory() as scratch:
        described = scratch / "manifest.json"
        described.write_text(json.dumps(manifests.to_document(manifest)))
        described.chmod(0o644)
        yield Mount(source=described, target=_MANIFEST, read_only=True)


def _ran(status: int, file: Path, *, named: bool) -> Ran:
    """Read the record and give it its lasting name."""
    if not file.is_file():
        return Ran(exit_status=status, record=None, file=None)
    found = read_record(file)
    lasting = file if named else file.with_name(records.file_name(found))
    os.replace(file, lasting)
    return Ran(exit_status=status, record=found, file=lasting)


def _mounts(places: Places) -> Iterator[Mount]:
    yield Mount(source=places.work, target="/work")
    yield Mount(source=places.out, target="/out")
    if not _is_out_of(places):
        yield Mount(source=places.out, target="/work/out")


def _is_out_of(places: Places) -> bool:
    """Say whether ``out`` is the working directory's own ``out``, which needs no mount of its own."""
    return places.out.absolute() == places.work.absolute() / "out"


@contextmanager
def _mount_point(places: Places) -> Iterator[None]:
    """Have a directory ``out`` in the working directory, and leave none that was not there before."""
    point = places.work / "out"
    if point.is_symlink():
        raise UsageError(
            "the working directory's out is a symbolic link",
            where=str(point),
            hint="remove the link and name its target with --out: a link leads nowhere inside the container",
        )
    was_there = point.exists()
    _make(point)
    try:
        yield
    finally:
        if not was_there:
            with suppress(OSError):  # not empty: it is the chosen directory itself
                point.rmdir()


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("cannot make a directory", where=str(directory), found=error.strerror) from error


def _facts(image: ImageFacts, code_commit: str | None) -> Iterator[tuple[str, str]]:
    """Yield what only the launcher knows of the image and the code."""
    if image.config_digest:
        yield "ENVLOCK_IMAGE_CONFIG", str(image.config_digest)
    if image.manifest_digest:
        yield "ENVLOCK_IMAGE_MANIFEST", str(image.manifest_digest)
    if code_commit:
        yield "ENVLOCK_CODE_COMMIT", code_commit
