"""Which GPUs a job sees under CUDA_VISIBLE_DEVICES (CUDA programming guide, environment variables). Pure.

The value lists indices, UUIDs, or unique beginnings of UUIDs. The first entry that names nothing ends
the list; one device named twice leaves none. Of several MIG instances CUDA uses the first that it sees
(MIG user guide, "Device Enumeration"); an index names a GPU, and of a GPU in MIG mode its first instance.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_INDEX = re.compile(r"\s*[+]?(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A GPU, or a MIG instance of one, that CUDA could show."""

    gpu: int
    """NVML's index of the GPU."""
    instance: int | None = None
    """The number of the MIG instance on that GPU; None: the whole GPU."""
    names: tuple[str, ...] = ()
    """Its UUID in each form that CUDA takes."""


def visible(candidates: Sequence[Candidate], value: str | None) -> tuple[Candidate, ...]:
    """Return what CUDA shows, in its order. ``value`` is CUDA_VISIBLE_DEVICES, None where it is not set."""
    if value is None:
        return _one_instance(candidates)
    found: list[Candidate] = []
    for word in value.split(","):
        one = _named(candidates, word.strip())
        if one is None:
            break
        if one in found:
            return ()
        found.append(one)
    return _one_instance(found)


def by_index(value: str | None) -> bool:
    """Say whether ``value`` names devices by number."""
    return value is not None and _INDEX.match(value) is not None


def _named(candidates: Sequence[Candidate], word: str) -> Candidate | None:
    number = _INDEX.match(word)
    if number is not None:
        return next((one for one in candidates if one.gpu == int(number.group(1))), None)
    named = [one for one in candidates if word and any(_begins(name, word) for name in one.names)]
    return named[0] if len(named) == 1 else None


def _begins(name: str, word: str) -> bool:
    return name.lower().startswith(word.lower())


def _one_instance(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    first = next((one for one in candidates if one.instance is not None), None)
    return tuple(one for one in candidates if one.instance is None or one is first)
