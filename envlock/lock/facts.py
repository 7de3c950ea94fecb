"""A lock's tables beside its packages, flattened to (subject, value) for comparing. Pure.

Subjects are the keys that the lockfile has (``gpu.driver``, ``threads.OMP_NUM_THREADS``), or what a table
lists things by: a package's name, a library's. A list of plain values is compared as a set, so that of
forty processor flags the two that differ are told.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from envlock.lock.model import Gpu, GpuDevice, Lock
from envlock.lock.tables import to_table


class Listed(NamedTuple):
    """A thing that a table lists: what it is known by (its version), and whatever else the table says."""

    version: str
    rest: str


Value = str | frozenset[str] | Listed
Facts = dict[str, Value]
# In the order in which they are shown: what decides results most, first.
TABLES = (
    "python",
    "os",
    "system-packages",
    "conda",
    "cuda",
    "libraries",
    "cpu",
    "gpu",
    "environment",
    "base",
    "project",
    "gaps",
    "other",
)
_OWN = ("packages", "system_packages", "conda", "cuda", "libraries", "gpu", "environment", "gaps")
_DIGITS = re.compile("[0-9]{1,9}")
_LEADING = ("version", "reason")
_FLAT = ("python", "os", "cpu", "base", "project")


def tables(lock: Lock) -> dict[str, Facts]:
    """Return the facts of each table. Every field of the lock but its packages is in one of them."""
    whole = to_table(lock, without=_OWN)
    found: dict[str, Facts] = {name: dict(_flat(whole.pop(name, {}))) for name in _FLAT}
    found |= {
        "system-packages": _listed(
            (f"{one.name}:{one.architecture}", to_table(one, ("name", "architecture")))
            for one in lock.system_packages
        ),
        "conda": _listed((one.name, to_table(one, ("name",))) for one in lock.conda),
        "cuda": _listed(
            (f"{one.name} ({one.origin})", to_table(one, ("name", "origin"))) for one in lock.cuda
        ),
        "libraries": dict(lock.libraries),
        "gpu": _gpu(lock.gpu),
        "environment": dict(lock.environment),
        "gaps": _listed((one.subject, to_table(one, ("subject",))) for one in lock.gaps),
        "other": dict(_flat(whole)),
    }
    return found


def device(one: GpuDevice) -> str:
    """Return a GPU in one line: ``NVIDIA H100 80GB HBM3, capability 9.0, 85.5 GB``."""
    parts = [one.model, f"capability {one.capability}", f"{one.memory / 1e9:.1f} GB"]
    parts += [f"MIG {one.profile}".strip()] if one.mig else []
    return ", ".join([*parts, *(f"{key} {value}" for key, value in one.extra)])


def is_older(one: str, other: str) -> bool:
    """Compare by the numbers in two versions: ``glibc 2.9`` is older than ``glibc 2.36``."""
    return _numbers(one) < _numbers(other)


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in _DIGITS.findall(version)]


def _gpu(gpu: Gpu) -> Facts:
    facts: Facts = {f"devices[{i}]": device(one) for i, one in enumerate(gpu.devices)}
    facts |= {f"topology.{pair}": joined for pair, joined in gpu.topology}
    return facts | dict(_flat(to_table(gpu, ("devices", "topology"))))


def _listed(entries: Iterable[tuple[str, Mapping[str, object]]]) -> Facts:
    """Return subject → its version and the rest; of one subject twice, both."""
    found: dict[str, list[Listed]] = {}
    for subject, table in entries:
        leading = next((str(table[key]) for key in _LEADING if key in table), "")
        rest = (f"{key} {_plain(value)}" for key, value in table.items() if key not in _LEADING)
        found.setdefault(subject, []).append(Listed(leading, ", ".join(rest)))
    return {subject: _joined(sorted(listed)) for subject, listed in found.items()}


def _joined(listed: list[Listed]) -> Listed:
    return Listed(*(" and ".join(part for part in parts if part) for parts in zip(*listed, strict=True)))


def _flat(value: object, place: str = "") -> Iterator[tuple[str, Value]]:
    """Yield the leaves below ``value``, a table of the lockfile."""
    if isinstance(value, Mapping):
        for key in value:
            yield from _flat(value[key], f"{place}.{key}" if place else str(key))
    elif isinstance(value, list) and any(isinstance(one, (Mapping, list)) for one in value):
        for i, one in enumerate(value):
            yield from _flat(one, f"{place}[{i}]")
    elif isinstance(value, list):
        yield place, frozenset(map(_plain, value))
    else:
        yield place, _plain(value)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
