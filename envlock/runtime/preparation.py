"""From options, variables, manifest and image to all that a run needs, before anything is started."""

from __future__ import annotations

import os

from envlock.runtime import (
    decimals,
    determinism,
    document,
    hostfacts,
    identity,
    image,
    manifest,
    preflight,
    rank,
)
from envlock.runtime import spool as spools
from envlock.runtime.determinism import Resolution
from envlock.runtime.errors import InputError, RefusedError
from envlock.runtime.hostfacts import HostFacts
from envlock.runtime.image import Image
from envlock.runtime.manifest import Manifest
from envlock.runtime.preflight import Verdict
from envlock.runtime.rank import Rank
from envlock.runtime.seeds import Seeding
from envlock.runtime.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envlock.runtime.fingerprint.agreement import Agreement
    from envlock.runtime.fingerprint.values import Fingerprint
    from envlock.runtime.layout import Layout
    from envlock.runtime.options import Options

_DRAWN_BYTES = 8
_THREADS = "OMP_NUM_THREADS"
# Variables that the image's configuration sets for the container's own sake: the manifest may change
# them, as a value that stands there is the image's and not the user's.
# Options of this run, which a program that the job starts must not take for its own.
_ENTRYPOINTS_OWN = (
    "ENVLOCK_AGAINST",
    "ENVLOCK_CHECK",
    "ENVLOCK_FINGERPRINT",
    "ENVLOCK_MANIFEST",
    "ENVLOCK_QUIET",
    "ENVLOCK_RECORD",
    "ENVLOCK_TRACE",
    "ENVLOCK_TRACE_TO",
)
_IMAGES_OWN = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "PYTHONPATH", "USER")


class Prepared(Value):
    """A run that could begin."""

    image: Image
    manifest: Manifest
    """With options and variables applied; ``cpu`` as it will be."""
    rank: Rank
    host: HostFacts
    verdict: Verdict
    resolution: Resolution
    environ: dict[str, str]
    """The job's environment, but for what makes it part of the run."""
    second_envlock: str | None
    seed_drawn: bool = False
    fingerprint: Fingerprint | None = None
    """This host's, where it was asked for."""
    agreement: Agreement | None = None
    """How it compares with the fingerprint that it was taken against."""


def prepare(given: Options, environ: Mapping[str, str], layout: Layout) -> Prepared:
    """Return what the run would be. Raises InputError for an unreadable manifest or image."""
    found = image.read(layout.image)
    own = rank.detect(environ)
    asked, was_drawn = _as_it_will_be(given.applied_to(_manifest(given.manifest)), found, own)
    job_environ = _with_manifest(environ, dict(found.env), asked)
    resolution = _resolution(found, asked, own, job_environ, layout)
    job_environ.update(resolution.values)
    for name in resolution.removed:
        job_environ.pop(name, None)
    host = _host(layout)
    return Prepared(
        image=found,
        manifest=asked,
        rank=own,
        host=host,
        verdict=preflight.grade(
            found,
            host,
            isa=asked.cpu.isa or "native",
            gpu=asked.hardware.gpu,
            threads=asked.cpu.threads,
        ),
        resolution=resolution,
        environ=job_environ,
        second_envlock=next(_second_envlocks(layout, job_environ), None),
        seed_drawn=was_drawn,
    )


def refuse(prepared: Prepared) -> None:
    """Raise RefusedError where this run must not begin."""
    asked = prepared.manifest
    if asked.environment_id not in (None, prepared.image.environment_id):
        raise RefusedError(
            "the manifest is for another environment",
            where="environment-id",
            expected=asked.environment_id,
            found=prepared.image.environment_id,
            hint="use the image that the manifest was written for, or take environment-id out of it",
        )
    if asked.seed is None and prepared.rank.world > 1:
        raise RefusedError(
            f"rank {prepared.rank.rank} of {prepared.rank.world} has no seed",
            where=f"launched by {prepared.rank.source}",
            hint="each rank would draw its own: give all of them one with --seed or ENVLOCK_SEED",
        )
    if prepared.second_envlock:
        raise RefusedError(
            "a second envlock is on the job's path",
            where=prepared.second_envlock,
            hint="capture the environment without it, or take it off PYTHONPATH",
        )
    _refuse_switches(prepared)
    _refuse_host(prepared)


def job_environment(
    prepared: Prepared, *, run: str, spool: str | None, trace: str | None, quiet: bool
) -> dict[str, str]:
    """Return the job's environment with what the import hook reads in it.

    ``run`` is the run's name, ``spool`` the directory where processes tell what they did, ``trace`` the one
    where they write what they compute.
    """
    asked = prepared.manifest
    made = {name: value for name, value in prepared.environ.items() if name not in _ENTRYPOINTS_OWN}
    made.update(
        ENVLOCK_RUN=run,
        ENVLOCK_SEED=decimals.to_text(asked.seed or 0),
        ENVLOCK_EXPERIMENT=asked.experiment,
        ENVLOCK_TRIAL=str(asked.trial),
        ENVLOCK_SCHEME=asked.seeding.scheme,
        ENVLOCK_RANKS=asked.seeding.ranks,
        ENVLOCK_DETERMINISM=asked.determinism.level,
        ENVLOCK_ISA=asked.cpu.isa or "native",
    )
    made[identity.VARIABLE] = f"0|{prepared.rank.signature}|"
    if spool:
        made[spools.VARIABLE] = spool
    if trace:
        made.update(ENVLOCK_TRACE=asked.determinism.trace, ENVLOCK_TRACE_TO=trace)
    if quiet:
        made["ENVLOCK_QUIET"] = "1"
    return made


def seeding(asked: Manifest, own: Rank) -> Seeding:
    """Return how the main process of the rank ``own`` is seeded (from 0 where there is no seed)."""
    return Seeding(
        master=asked.seed or 0,
        experiment=asked.experiment,
        trial=asked.trial,
        scheme=asked.seeding.scheme,
        ranks=asked.seeding.ranks,
        rank=own.rank,
        world=own.world,
    )


def _manifest(path: str | None) -> Manifest:
    if path is None:
        return Manifest()
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InputError(
            "cannot read the manifest", where=path, found=reason, hint="is it mounted into the container?"
        ) from error
    return manifest.parse(document.read(text, path), path)


def _with_manifest(environ: Mapping[str, str], baked: Mapping[str, str], asked: Manifest) -> dict[str, str]:
    """Return the environment with the manifest's variables; what the user set on the container wins."""
    made = dict(environ)
    for name, value in asked.env:
        if name not in made or name in _IMAGES_OWN or made[name] == baked.get(name):
            made[name] = value
    return made


def _as_it_will_be(asked: Manifest, found: Image, own: Rank) -> tuple[Manifest, bool]:
    """Return the manifest with ISA, threads and seed decided, and whether the seed was drawn."""
    threads = asked.cpu.threads or decimals.from_text(dict(found.env).get(_THREADS, "")) or found.cpu.cores
    isa = asked.cpu.isa or determinism.default_isa(found.machine)
    asked = asked.replace(cpu=manifest.Cpu(isa=isa, threads=threads))
    # In a larger world every rank would draw a seed of its own; refuse() says so.
    if asked.seed is not None or own.world > 1:
        return asked, False
    return asked.replace(seed=int.from_bytes(os.urandom(_DRAWN_BYTES), "big")), True


def _host(layout: Layout) -> HostFacts:
    """Return the host's facts; /proc knows no capability of a GPU, but the driver does."""
    host = hostfacts.read(layout.host)
    if host.driver is None or layout.host != "/":
        return host
    from envlock.runtime import nvml

    return host.replace(gpus=nvml.devices() or host.gpus)


def _resolution(
    found: Image, asked: Manifest, own: Rank, environ: Mapping[str, str], layout: Layout
) -> Resolution:
    wanted = determinism.job_environment(
        level=asked.determinism.level,
        threads=asked.cpu.threads or 1,
        isa=asked.cpu.isa or "native",
        packages=dict(found.packages),
        machine=found.machine,
        hash_seed=seeding(asked, own).seed_for("python.hash", 32),
        layout=layout,
    )
    return determinism.resolve(environ, dict(found.env), wanted)


def _refuse_switches(prepared: Prepared) -> None:
    if prepared.manifest.determinism.level == "strict" and prepared.resolution.kept:
        name, value, wanted = prepared.resolution.kept[0]
        raise RefusedError(
            "a determinism variable was changed",
            where=name,
            expected=repr(wanted) if wanted else "no value",
            found=repr(value),
            hint="under `determinism: strict` it must be left alone",
        )


def _refuse_host(prepared: Prepared) -> None:
    bad = [
        one for one in prepared.verdict.reasons if one.grade in (preflight.MAY_DIFFER, preflight.WILL_NOT_RUN)
    ]
    if prepared.manifest.hardware.on_mismatch == "refuse" and bad:
        raise RefusedError(
            "this host is not like the captured one",
            found="; ".join(one.text for one in bad),
            hint="`hardware: {on-mismatch: warn}` runs all the same",
        )


def _second_envlocks(layout: Layout, environ: Mapping[str, str]) -> Iterator[str]:
    directories = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    library = os.path.join(layout.environment, "lib")
    if os.path.isdir(library):
        names = sorted(name for name in os.listdir(library) if name.startswith("python"))
        directories += [os.path.join(library, name, "site-packages") for name in names]
    for directory in directories:
        for name in ("envlock", "__editable__.envlock"):
            if os.path.exists(os.path.join(directory, name, "__init__.py")):
                yield os.path.join(directory, name)
