"""What the processes of a job told: the lines of their spool as values, and these as JSON.

A line that is not as it should be is left out: a job that writes to the spool itself, or a process
killed while it wrote, must not cost the others their place in the record.
"""

from __future__ import annotations

from envlock.runtime import decimals
from envlock.runtime.image import Gap
from envlock.runtime.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from envlock.runtime.reader import Mapping


_NO_SEED = ", which no seed repeats"


class HandedSeed(Value):
    """A seed that was handed out. ``process`` as ``rank/0/proc/1``; ``stream`` as ``numpy/gen/0``."""

    process: str
    stream: str
    value: int


class NondeterministicOperation(Value):
    """An operation without a deterministic variant that ran, and the line that called it."""

    operation: str
    where: str


class Reseeding(Value):
    """A seeding call of the job's own: which function, with what, in which module, from which line."""

    process: str
    function: str
    value: str
    by: str
    where: str


class Split(Value):
    """A data set that was split with ``seeds.split``; ``sha256`` is of who belongs to which part."""

    stream: str
    seed: int
    sizes: tuple[int, ...]
    sha256: str


class Told(Value):
    """All that the processes told, sorted."""

    seeds: tuple[HandedSeed, ...] = ()
    nondeterministic: tuple[NondeterministicOperation, ...] = ()
    reseedings: tuple[Reseeding, ...] = ()
    splits: tuple[Split, ...] = ()
    gaps: tuple[Gap, ...] = ()


def read(lines: Iterable[tuple[str, ...]]) -> Told:
    """Return what the lines (kind, field, …) say."""
    found = [one for one in map(_value, lines) if one is not None]
    return Told(
        seeds=tuple(one for one in found if isinstance(one, HandedSeed)),
        nondeterministic=tuple(one for one in found if isinstance(one, NondeterministicOperation)),
        reseedings=tuple(one for one in found if isinstance(one, Reseeding)),
        splits=tuple(one for one in found if isinstance(one, Split)),
        gaps=tuple(one for one in found if isinstance(one, Gap)),
    )


def is_unrepeatable(gap: Gap) -> bool:
    """Whether the gap names a line of the job that took what no seed repeats."""
    return gap.reason.endswith(_NO_SEED)


def seed_of(section: Mapping) -> HandedSeed:
    """Return the seed of a record's document. Raises InputError, as all below."""
    return HandedSeed(section.text("process", ""), section.text("stream", None), _digits(section, "value"))


def operation_of(section: Mapping) -> NondeterministicOperation:
    """Return the operation of a record's document."""
    return NondeterministicOperation(section.text("operation", None), section.text("where", None))


def reseeding_of(section: Mapping) -> Reseeding:
    """Return the seeding call of a record's document."""
    return Reseeding(*(section.text(key, None) for key in ("process", "function", "value", "by", "where")))


def split_of(section: Mapping) -> Split:
    """Return the split of a record's document."""
    return Split(
        section.text("stream", None),
        _digits(section, "seed"),
        section.integers("sizes"),
        section.text("sha256", None),
    )


def split_document(split: Split) -> dict[str, object]:
    """Return a split as JSON has it."""
    return {**split.as_dict(), "seed": decimals.to_text(split.seed), "sizes": list(split.sizes)}


def _value(line: tuple[str, ...]) -> Value | None:
    kind, *fields = line
    read_line = _KINDS.get(kind)
    try:
        return read_line(*fields) if read_line else None
    except (TypeError, ValueError):
        return None


def _seed(process: str, stream: str, value: str) -> HandedSeed:
    return HandedSeed(process, stream, _number(value))


def _split(stream: str, seed: str, sizes: str, sha256: str) -> Split:
    return Split(stream, _number(seed), tuple(map(_number, sizes.split(","))), sha256)


def _generators(process: str, stream: str, count: str) -> Gap:
    reason = f"made {count} unseeded generators of {stream} or more; their seeds are {stream}/gen/<ordinal>"
    return Gap(process, reason)


def _unrepeatable(where: str, what: str) -> Gap:
    return Gap(where, f"{what}{_NO_SEED}")


def _number(text: str) -> int:
    value = decimals.from_text(text)
    if value is None:
        raise ValueError(text)
    return value


def _digits(section: Mapping, key: str) -> int:
    digits = section.text(key, None)
    value = decimals.from_text(digits)
    if value is None:
        raise section.error(key, expected="decimal digits", found=repr(digits))
    return value


_KINDS: dict[str, Callable[..., Value]] = {
    "gap": Gap,
    "generators": _generators,
    "nondeterministic": NondeterministicOperation,
    "reseed": Reseeding,
    "seed": _seed,
    "split": _split,
    "unrepeatable": _unrepeatable,
}
