"""The run manifest: what is run, with which seed, how strictly, with which files (docs/runtime.md).

A manifest is a value; :func:`parse` makes it from a document (see ``document.py``) and
:func:`to_document` writes it back. Unknown keys and wrong types are errors whose place names the
file and the key's path, ``run.yaml: outputs[0].compare``.
"""

from __future__ import annotations

import re

from envlock.runtime import decimals, names
from envlock.runtime.reader import Mapping
from envlock.runtime.value import Value

VERSION = 1
LEVELS = ("none", "warn", "strict")
TRACES = ("none", "steps", "modules", "ops")
SCHEMES = ("tree", "uniform")
RANKS = ("distinct", "shared")
ISAS = ("portable", "native")
GPU_POLICIES = ("same", "compatible", "any")
MISMATCH_POLICIES = ("refuse", "warn")
COMPARISONS = ("bytes", "tensors", "json")

_LARGEST_PLAIN_INTEGER = 2**53 - 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ENVIRONMENT_ID = re.compile(r"sha256:[0-9a-f]{64}")


class SeedingPolicy(Value):
    """``scheme``: tree | uniform; ``ranks``: distinct | shared."""

    scheme: str = "tree"
    ranks: str = "distinct"


class Determinism(Value):
    """``level``: none | warn | strict; ``trace``: none | steps | modules | ops."""

    level: str = "warn"
    trace: str = "none"


class Cpu(Value):
    """``isa``: portable | native, None for the machine's default; ``threads``: None for the lock's."""

    isa: str | None = None
    threads: int | None = None


class Hardware(Value):
    """``gpu``: same | compatible | any; ``on_mismatch``: refuse | warn."""

    gpu: str = "compatible"
    on_mismatch: str = "warn"


class Input(Value):
    """A file or directory that the job reads; ``path`` relative to /work, ``sha256`` hexadecimal."""

    path: str
    sha256: str | None = None


class Output(Value):
    """A file or directory that the job writes, and how two of them are compared."""

    path: str
    compare: str = "bytes"


class Manifest(Value):
    """A run manifest with every default filled in. ``seed`` None: one is drawn for the run."""

    experiment: str = "default"
    trial: int = 0
    seed: int | None = None
    command: tuple[str, ...] = ()
    seeding: SeedingPolicy = SeedingPolicy()
    determinism: Determinism = Determinism()
    cpu: Cpu = Cpu()
    hardware: Hardware = Hardware()
    environment_id: str | None = None
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    """Sorted by name."""


def parse(document: object, where: str) -> Manifest:
    """Return the manifest that ``document`` says. ``where`` names its file. Raises InputError."""
    top = Mapping.of(document, where)
    top.version("envlock", VERSION)
    determinism = top.get("determinism")
    made = Manifest(
        experiment=_name(top),
        trial=top.integer("trial", 0),
        seed=_seed(top),
        command=top.texts("command"),
        seeding=_seeding(top.mapping("seeding")),
        # A bare word is the level.
        determinism=Determinism(level=top.choice("determinism", LEVELS, "warn"))
        if isinstance(determinism, str)
        else _determinism(top.mapping("determinism")),
        cpu=_cpu(top.mapping("cpu")),
        hardware=_hardware(top.mapping("hardware")),
        environment_id=_environment_id(top),
        inputs=tuple(map(_input, top.mappings("inputs"))),
        outputs=tuple(map(_output, top.mappings("outputs"))),
        env=_env(top.mapping("env")),
    )
    top.end()
    return made


def to_document(manifest: Manifest) -> dict[str, object]:
    """Return the document of ``manifest``; parsing it gives the same value. What is None is left out."""
    document: dict[str, object] = {
        "envlock": VERSION,
        "experiment": manifest.experiment,
        "trial": manifest.trial,
        "command": list(manifest.command),
        "seeding": manifest.seeding.as_dict(),
        "determinism": manifest.determinism.as_dict(),
        "cpu": _present(manifest.cpu.as_dict()),
        "hardware": {"gpu": manifest.hardware.gpu, "on-mismatch": manifest.hardware.on_mismatch},
        "inputs": [_present(one.as_dict()) for one in manifest.inputs],
        "outputs": [one.as_dict() for one in manifest.outputs],
        "env": dict(manifest.env),
    }
    if manifest.seed is not None:
        small = manifest.seed <= _LARGEST_PLAIN_INTEGER
        document["seed"] = manifest.seed if small else decimals.to_text(manifest.seed)
    if manifest.environment_id is not None:
        document["environment-id"] = manifest.environment_id
    return document


def _present(values: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}


def _name(top: Mapping) -> str:
    name = top.text("experiment", "default")
    problem = names.problem(name)
    if problem:
        raise top.error("experiment", expected="a name without / at either end", found=repr(name))
    return name


def _seed(top: Mapping) -> int | None:
    # Text of digits too: JSON readers other than Python's lose integers above 2^53.
    value = top.get("seed")
    if isinstance(value, str):
        seed = decimals.from_text(value)
        if seed is None:
            raise top.error("seed", expected="an integer of at least 0", found=repr(value))
        return seed
    return top.optional_integer("seed", 0)


def _seeding(section: Mapping) -> SeedingPolicy:
    made = SeedingPolicy(
        scheme=section.choice("scheme", SCHEMES, "tree"), ranks=section.choice("ranks", RANKS, "distinct")
    )
    section.end()
    return made


def _determinism(section: Mapping) -> Determinism:
    made = Determinism(
        level=section.choice("level", LEVELS, "warn"), trace=section.choice("trace", TRACES, "none")
    )
    section.end()
    return made


def _cpu(section: Mapping) -> Cpu:
    isa = section.choice("isa", ISAS, "") if section.get("isa") is not None else None
    made = Cpu(isa=isa, threads=section.optional_integer("threads", 1))
    section.end()
    return made


def _hardware(section: Mapping) -> Hardware:
    made = Hardware(
        gpu=section.choice("gpu", GPU_POLICIES, "compatible"),
        on_mismatch=section.choice("on-mismatch", MISMATCH_POLICIES, "warn"),
    )
    section.end()
    return made


def _environment_id(top: Mapping) -> str | None:
    found = top.optional_text("environment-id")
    if found is not None and not _ENVIRONMENT_ID.fullmatch(found):
        raise top.error("environment-id", expected="sha256:<64 hex digits>", found=repr(found))
    return found


def _input(section: Mapping) -> Input:
    sha256 = section.optional_text("sha256", digits=True)
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise section.error("sha256", expected="64 lower-case hexadecimal digits", found=repr(sha256))
    made = Input(path=_path(section), sha256=sha256)
    section.end()
    return made


def _output(section: Mapping) -> Output:
    made = Output(path=_path(section), compare=section.choice("compare", COMPARISONS, "bytes"))
    section.end()
    return made


def _path(section: Mapping) -> str:
    path = section.text("path", None)
    if not path or "\0" in path or ".." in path.split("/"):
        raise section.error("path", expected="a path that does not climb out with ..", found=repr(path))
    return path


def _env(section: Mapping) -> tuple[tuple[str, str], ...]:
    pairs = []
    for name in section.names():
        value = section.text(name, None)
        if not name or "=" in name or "\0" in name + value:
            raise section.error(name, expected="a variable's name and value", found=repr(f"{name}={value}"))
        pairs.append((name, value))
    return tuple(sorted(pairs))
