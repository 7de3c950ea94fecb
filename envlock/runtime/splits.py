"""Dividing a data set at random by a seed, and the hash that tells two divisions apart.

Pure. Only ``Random.random`` is used, whose sequence Python promises to keep from version to version;
``shuffle`` and NumPy's permutations carry no such promise.
"""

from __future__ import annotations

import math
from itertools import accumulate

from envlock.runtime.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar

    Item = TypeVar("Item")

_ROUNDING = 1e-9


def sizes(count: int, parts: Sequence[float]) -> tuple[int, ...]:
    """Return how many of ``count`` items each part gets. Raises InputError unless all are given out.

    Whole numbers are sizes, others fractions; a fraction's end is rounded, so that no item is lost.
    """
    if any(part < 0 or not math.isfinite(part) for part in parts):
        raise InputError("not a split", expected="parts of at least 0", found=str(list(parts)))
    if all(isinstance(part, int) for part in parts):
        if sum(parts) != count:
            raise InputError("not a split", expected=f"sizes that sum to {count}", found=str(list(parts)))
        return tuple(int(part) for part in parts)
    if abs(math.fsum(parts) - 1) > _ROUNDING:
        raise InputError("not a split", expected="fractions that sum to 1", found=str(list(parts)))
    ends = [round(end * count) for end in accumulate(parts)]
    return tuple(end - start for start, end in zip([0, *ends], ends))  # noqa: B905 - strict came with 3.10


def divide(items: Sequence[Item], counts: Sequence[int], seed: int) -> tuple[list[Item], ...]:
    """Return ``counts[i]`` items for each part ``i``, drawn by ``seed``, in the items' own order."""
    from random import Random

    draw = Random(seed).random
    order = [position for _, position in sorted((draw(), position) for position in range(len(items)))]
    return tuple(
        [items[position] for position in sorted(order[end - count : end])]
        for count, end in zip(counts, accumulate(counts))  # noqa: B905 - strict came with Python 3.10
    )


def membership(parts: Sequence[Sequence[object]]) -> str:
    """Return the SHA-256 of ``<part>TAB<item>LF`` for every item.

    Text and whole numbers stand for themselves; of other items only the number in each part counts.
    """
    from hashlib import sha256

    found = sha256()
    for number, part in enumerate(parts):
        for item in part:
            shown = repr(item) if isinstance(item, (str, int)) else ""
            found.update(f"{number}\t{shown}\n".encode("utf-8", "surrogatepass"))
    return found.hexdigest()
