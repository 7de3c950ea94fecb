"""The first tensor that two traces of one process do not share. Pure: events in, a value out."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from envlock.runtime.trace.event import UNREAD, Event

How = Literal["alike", "values", "another tensor", "ends", "unread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """How one process's trace in the first run and in another compare.

    ``alike``: in all tensors; ``values``: ``first`` and ``second`` are the same tensor with other bytes;
    ``another tensor``: the runs computed other things from here on; ``ends``: one of them computed no more
    (None); ``unread``: ``reason`` says why nothing could be compared.
    """

    run: int
    """Which run is compared with the first, counted from 0."""
    process: str
    how: How
    compared: int = 0
    """How many tensors were alike before."""
    first: Event | None = None
    second: Event | None = None
    reason: str = ""


def part(run: int, process: str, first: Iterable[Event], second: Iterable[Event]) -> Parting:
    """Compare two traces of one process. Tensors whose bytes one of them lacks are alike."""
    compared = 0
    for one, other in zip_longest(first, second):
        how = _how(one, other)
        if how != "alike":
            return Parting(run=run, process=process, how=how, compared=compared, first=one, second=other)
        compared += 1
    return Parting(run=run, process=process, how="alike", compared=compared)


def _how(one: Event | None, other: Event | None) -> How:
    if one is None or other is None:
        return "ends"
    if _what(one) != _what(other):
        return "another tensor"
    if one.digest != other.digest and UNREAD not in (one.digest, other.digest):
        return "values"
    return "alike"


def _what(event: Event) -> tuple[object, ...]:
    return event.step, event.kind, event.where, event.name, event.shape
