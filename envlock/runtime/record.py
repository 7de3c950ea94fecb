"""The run record: what ran, with what, and what came out (docs/runtime.md).

JSON, ``"envlock-record": 1``, keys sorted, indented by two, so that equal records are equal bytes.
Written whole or not at all. No user names, no host names, nothing that looks like a secret
(``masking.py``); of the job's variables only the determinism switches and the manifest's own.
"""

from __future__ import annotations

import json
import re

from envlock.runtime import atomic, decimals, document, manifest, masking, told
from envlock.runtime.errors import InputError
from envlock.runtime.hostfacts import GpuDevice, HostFacts
from envlock.runtime.image import Gap
from envlock.runtime.manifest import Manifest
from envlock.runtime.rank import Rank
from envlock.runtime.reader import Mapping
from envlock.runtime.told import HandedSeed, NondeterministicOperation, Reseeding, Split
from envlock.runtime.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envlock.runtime.fingerprint.values import Fingerprint

VERSION = 1
STATES = ("running", "finished", "failed", "killed")
"""Running: not ended, or killed with its container. Finished: status 0. Killed: by a signal."""
GRADES = ("same", "compatible", "numerics may differ", "will not run")


class FileHash(Value):
    """An input or output. Missing: ``sha256`` and ``size`` (bytes) are None."""

    path: str
    """As the manifest has it (relative to /work), or the absolute path in the container."""
    sha256: str | None
    size: int | None
    compare: str = "bytes"


class Trace(Value):
    """What the processes of the run traced: a file each, in ``directory`` among the records."""

    level: str
    directory: str
    files: tuple[FileHash, ...] = ()


class KeptSwitch(Value):
    """A determinism variable that the user set, and what envlock would have set ("": nothing)."""

    name: str
    value: str
    wanted: str


class RunRecord(Value):
    """One run of one rank."""

    run: str
    """32 hexadecimal digits, unique."""
    state: str
    """One of STATES."""
    manifest: Manifest
    """With flags and variables applied: experiment, trial, seed, command, policies."""
    rank: Rank
    environment_id: str
    lock_sha256: str
    runtime: str
    """The runtime's digest, label ``dev.envlock.runtime``."""
    host: HostFacts
    started: str
    """UTC, ISO 8601 with microseconds and Z."""
    image_config: str | None = None
    image_manifest: str | None = None
    code_commit: str | None = None
    ended: str | None = None
    exit_status: int | None = None
    """As a shell gives it: 128 + n when the job was killed by signal n."""
    grade: str = "same"
    """How the host compares with the capture, one of GRADES."""
    reasons: tuple[str, ...] = ()
    seeds: tuple[HandedSeed, ...] = ()
    inputs: tuple[FileHash, ...] = ()
    outputs: tuple[FileHash, ...] = ()
    switches: tuple[tuple[str, str], ...] = ()
    """Determinism variables in force for the job, sorted by name."""
    kept: tuple[KeptSwitch, ...] = ()
    nondeterministic: tuple[NondeterministicOperation, ...] = ()
    gaps: tuple[Gap, ...] = ()
    reseedings: tuple[Reseeding, ...] = ()
    splits: tuple[Split, ...] = ()
    fingerprint: Fingerprint | None = None
    """Of the host's numerics, where it was asked for."""
    trace: Trace | None = None
    """Where ``determinism.trace`` was asked for."""


def file_name(record: RunRecord) -> str:
    """Return ``<experiment>-<trial>-<12 digits of the run>.json``; odd characters become ``_``."""
    experiment = re.sub(r"[^A-Za-z0-9._-]", "_", record.manifest.experiment)
    return f"{experiment}-{record.manifest.trial}-{record.run[:12]}.json"


def to_json(record: RunRecord) -> bytes:
    """Return the record's bytes: UTF-8, one newline at the end."""
    document = {
        "envlock-record": VERSION,
        "run": record.run,
        "state": record.state,
        "experiment": record.manifest.experiment,
        "trial": record.manifest.trial,
        # Text: JSON readers other than Python's lose integers above 2^53.
        "seed": None if record.manifest.seed is None else decimals.to_text(record.manifest.seed),
        "manifest": manifest.to_document(without_secrets(record.manifest)),
        "rank": {
            "rank": record.rank.rank,
            "world": record.rank.world,
            "local-rank": record.rank.local_rank,
            "source": record.rank.source,
        },
        "environment-id": record.environment_id,
        "lock-sha256": record.lock_sha256,
        "runtime": record.runtime,
        "image": {"config": record.image_config, "manifest": record.image_manifest},
        "code-commit": record.code_commit,
        "host": _host_document(record.host),
        "started": record.started,
        "ended": record.ended,
        "exit-status": record.exit_status,
        "preflight": {"grade": record.grade, "reasons": list(record.reasons)},
        "seeds": [{**one.as_dict(), "value": decimals.to_text(one.value)} for one in record.seeds],
        "reseedings": [one.as_dict() for one in record.reseedings],
        "splits": [told.split_document(one) for one in record.splits],
        "inputs": [one.as_dict() for one in record.inputs],
        "outputs": [one.as_dict() for one in record.outputs],
        "determinism": {
            "switches": dict(record.switches),
            "kept": [one.as_dict() for one in record.kept],
            "nondeterministic": [one.as_dict() for one in record.nondeterministic],
        },
        "gaps": [one.as_dict() for one in record.gaps],
        "fingerprint": None if record.fingerprint is None else _fingerprint_document(record.fingerprint),
        "trace": None if record.trace is None else _trace_document(record.trace),
    }
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8")


def without_secrets(found: Manifest) -> Manifest:
    """Return the manifest with what looks like a secret masked, in ``env`` and ``command``."""
    return found.replace(
        command=masking.command(found.command),
        env=tuple((name, masking.value(name, text)) for name, text in found.env),
    )


def parse(data: bytes, where: str) -> RunRecord:
    """Return the record that ``data`` holds. Raises InputError; fields of later envlocks are ignored."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("not a run record", where=where, expected="UTF-8", found=str(error)) from error
    # Named .json for the reader: a record is never YAML.
    top = Mapping.of(document.read_json(text, where), where)
    top.version("envlock-record", VERSION)
    image = top.mapping("image")
    preflight = top.mapping("preflight")
    determinism = top.mapping("determinism")
    return RunRecord(
        run=top.text("run", None),
        state=_required_choice(top, "state", STATES),
        manifest=manifest.parse(top.get("manifest"), f"{where}: manifest"),
        rank=_rank(top.mapping("rank")),
        environment_id=top.text("environment-id", None),
        lock_sha256=top.text("lock-sha256", None),
        runtime=top.text("runtime", ""),
        host=_host(top.mapping("host")),
        started=top.text("started", None),
        image_config=image.nullable_text("config"),
        image_manifest=image.nullable_text("manifest"),
        code_commit=top.nullable_text("code-commit"),
        ended=top.nullable_text("ended"),
        exit_status=top.optional_integer("exit-status", 0),
        grade=_required_choice(preflight, "grade", GRADES),
        reasons=preflight.texts("reasons"),
        seeds=tuple(map(told.seed_of, top.mappings("seeds"))),
        inputs=tuple(map(_file, top.mappings("inputs"))),
        outputs=tuple(map(_file, top.mappings("outputs"))),
        switches=determinism.text_items("switches"),
        kept=tuple(
            KeptSwitch(one.text("name", None), one.text("value", None), one.text("wanted", ""))
            for one in determinism.mappings("kept")
        ),
        nondeterministic=tuple(map(told.operation_of, determinism.mappings("nondeterministic"))),
        gaps=tuple(Gap(one.text("subject", None), one.text("reason", None)) for one in top.mappings("gaps")),
        reseedings=tuple(map(told.reseeding_of, top.mappings("reseedings"))),
        splits=tuple(map(told.split_of, top.mappings("splits"))),
        fingerprint=None if top.get("fingerprint") is None else _fingerprint(top.mapping("fingerprint")),
        trace=None if top.get("trace") is None else _trace(top.mapping("trace")),
    )


def write(path: str, record: RunRecord, *, durable: bool = True) -> None:
    """Write the record to ``path``, whole or not at all. Raises OSError.

    ``durable`` waits for the disk; the record of a run that only begins need not.
    """
    atomic.write(path, lambda stream: stream.write(to_json(record)), durable=durable)


def _host_document(host: HostFacts) -> dict[str, object]:
    return {
        "machine": host.machine,
        "kernel": host.kernel,
        "cpu": {"model": host.cpu_model, "isa": host.isa, "cores": host.cores},
        "memory": host.memory,
        "gpu": {"driver": host.driver, "devices": [one.as_dict() for one in host.gpus]},
    }


def _host(section: Mapping) -> HostFacts:
    cpu = section.mapping("cpu")
    gpu = section.mapping("gpu")
    return HostFacts(
        machine=section.text("machine", ""),
        kernel=section.text("kernel", ""),
        cpu_model=cpu.text("model", ""),
        isa=cpu.text("isa", ""),
        cores=cpu.integer("cores", 1),
        memory=section.integer("memory", 0),
        driver=gpu.nullable_text("driver"),
        gpus=tuple(
            GpuDevice(one.text("model", None), one.nullable_text("capability"))
            for one in gpu.mappings("devices")
        ),
    )


def _fingerprint_document(found: Fingerprint) -> dict[str, object]:
    # Imported here, as below: most runs have none.
    from envlock.runtime.fingerprint.document import to_document

    return to_document(found)


def _fingerprint(section: Mapping) -> Fingerprint:
    from envlock.runtime.fingerprint.document import parse

    return parse(section)


def _trace_document(trace: Trace) -> dict[str, object]:
    files = [{"path": one.path, "sha256": one.sha256, "size": one.size} for one in trace.files]
    return {"level": trace.level, "directory": trace.directory, "files": files}


def _trace(section: Mapping) -> Trace:
    return Trace(
        section.choice("level", manifest.TRACES, "none"),
        section.text("directory", None),
        tuple(map(_file, section.mappings("files"))),
    )


def _rank(section: Mapping) -> Rank:
    return Rank(
        section.integer("rank", 0),
        section.integer("world", 1, least=1),
        section.integer("local-rank", 0),
        section.text("source", "none"),
    )


def _file(section: Mapping) -> FileHash:
    return FileHash(
        path=section.text("path", None),
        sha256=section.nullable_text("sha256"),
        size=section.optional_integer("size", 0),
        compare=section.choice("compare", manifest.COMPARISONS, "bytes"),
    )


def _required_choice(section: Mapping, key: str, choices: tuple[str, ...]) -> str:
    section.text(key, None)
    return section.choice(key, choices, choices[0])
