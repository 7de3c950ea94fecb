"""Whether fingerprints agree, and in which operations they do not. Pure.

Rules kept here:

* Only operations that every fingerprint has, stable in each, of equal versions of the list count.
* Other versions of a framework are compared all the same, and told.
* What makes a comparison weaker (a framework that only some have, other settings) is told in notes; it
  never makes an operation differ.
"""

from __future__ import annotations

from envlock.runtime.fingerprint.values import Fingerprint, FrameworkPrint
from envlock.runtime.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_NAMED = 8


class Agreement(Value):
    """How fingerprints compare. Operations are sorted."""

    compared: int
    """How many operations could be compared."""
    differing: tuple[str, ...] = ()
    unstable: tuple[str, ...] = ()
    """Not compared, as they vary from run to run on at least one of the hosts."""
    notes: tuple[str, ...] = ()
    """What else was not the same: versions, settings, missing frameworks."""


def agree(fingerprints: Sequence[Fingerprint]) -> Agreement:
    """Compare two or more fingerprints."""
    names = sorted({one.name for found in fingerprints for one in found.frameworks})
    compared: list[Agreement] = []
    notes = list(_settings(fingerprints))
    some = []
    for name in names:
        prints = [one for found in fingerprints for one in found.frameworks if one.name == name]
        if len(prints) < len(fingerprints):
            some.append(name)
        elif len({one.list for one in prints if one.operations}) > 1:
            notes.append(f"{name}: other lists of operations, not compared")
        else:
            compared.append(_framework(prints))
    if some:
        notes.append(f"not in all: {', '.join(some)}")
    return Agreement(
        compared=sum(one.compared for one in compared),
        differing=tuple(name for one in compared for name in one.differing),
        unstable=tuple(name for one in compared for name in one.unstable),
        notes=(*notes, *(note for one in compared for note in one.notes)),
    )


def sentence(found: Agreement, against: str) -> str:
    """Return how this host compares with the fingerprint of the file ``against``."""
    if not found.compared:
        return f"no operation of this host's fingerprint can be compared with {against}"
    if not found.differing:
        return f"this host computes all {found.compared} operations as in {against}"
    count = f"{len(found.differing)} of {found.compared} operations"
    return f"this host computes {count} differently from {against}: {named(found.differing)}"


def named(operations: Sequence[str], most: int = _NAMED) -> str:
    """Return the operations' names in a sentence, the first ``most`` of them."""
    shown = ", ".join(operations[:most])
    hidden = len(operations) - most
    return f"{shown} and {hidden} more" if hidden > 0 else shown


def _framework(prints: Sequence[FrameworkPrint]) -> Agreement:
    stable = [one.stable for one in prints]
    common = sorted(set(stable[0]).intersection(*stable[1:]))
    unstable = sorted({name for one in prints for name in one.unstable})
    return Agreement(
        compared=len(common),
        differing=tuple(name for name in common if len({one[name] for one in stable}) > 1),
        unstable=tuple(unstable),
        notes=tuple(_notes(prints, {*common, *unstable})),
    )


def _notes(prints: Sequence[FrameworkPrint], seen: set[str]) -> Iterator[str]:
    name = prints[0].name
    versions = _each(one.version for one in prints if one.version)
    if len(versions) > 1:
        yield f"{name} {' and '.join(versions)}"
    for failure in _each(one.failure for one in prints if one.failure):
        yield f"{name}: {failure}"
    known = {operation for one in prints for operation, _ in (*one.operations, *one.absent)}
    lacking = sorted(known - seen - _absent_everywhere(prints))
    if lacking:
        yield f"{name}: not in all: {named(lacking, 3)}"


def _absent_everywhere(prints: Sequence[FrameworkPrint]) -> set[str]:
    return set.intersection(*({operation for operation, _ in one.absent} for one in prints))


def _settings(fingerprints: Sequence[Fingerprint]) -> Iterator[str]:
    for subject, values in (
        ("threads", [str(one.threads) for one in fingerprints]),
        ("cpu.isa", [one.isa for one in fingerprints]),
        ("determinism", [one.level for one in fingerprints]),
    ):
        if len(set(values)) > 1:
            yield f"{subject} {' and '.join(_each(values))}"


def _each(values: Iterable[str]) -> list[str]:
    """Return the different values in their order."""
    return list(dict.fromkeys(values))
