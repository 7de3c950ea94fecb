"""What envlock itself brought into an environment, which is no part of the job. Pure.

Left out: envlock, and each distribution that envlock's requirements lead to and no other
distribution's do, unless the user asked for it by name (REQUESTED, PEP 376).
"""

from collections.abc import Iterable, Mapping, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import Gap

_OWN = "envlock"
_Node = tuple[str, frozenset[str]]


def without_envlock(
    distributions: Sequence[InstalledDistribution],
) -> tuple[tuple[InstalledDistribution, ...], tuple[Gap, ...]]:
    """Return the job's distributions, and a gap for each one left out."""
    known = {one.name: one for one in distributions}
    if _OWN not in known:
        return tuple(distributions), ()
    brought = _reachable(known, [_OWN])
    roots = [one.name for one in distributions if one.name not in brought or _is_requested(one)]
    needed = _reachable({name: one for name, one in known.items() if name != _OWN}, roots)
    left_out = {_OWN} | (brought - needed)
    gaps = (
        Gap(
            subject=name,
            reason="left out: envlock itself" if name == _OWN else "left out: only envlock needs it",
            harmless=True,
        )
        for name in sorted(left_out)
    )
    return tuple(one for one in distributions if one.name not in left_out), tuple(gaps)


def _is_requested(distribution: InstalledDistribution) -> bool:
    name = f"{distribution.dist_info}/REQUESTED"
    return distribution.name != _OWN and any(entry.path == name for entry in distribution.record)


def _reachable(known: Mapping[str, InstalledDistribution], roots: Iterable[str]) -> set[str]:
    """Return the installed names that ``roots`` lead to, themselves included."""
    waiting: list[_Node] = [(root, frozenset()) for root in roots if root in known]
    seen: set[_Node] = set()
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += _required(known, node)
    return {name for name, _ in seen}


def _required(known: Mapping[str, InstalledDistribution], node: _Node) -> list[_Node]:
    name, extras = node
    found: list[_Node] = []
    for line in known[name].requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        wanted = canonicalize_name(requirement.name)
        if wanted in known and _applies(requirement, extras):
            found.append((wanted, frozenset(requirement.extras)))
    return found


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    """Tell whether a requirement may hold. Only extras decide: what is installed was found to hold."""
    if requirement.marker is None or "extra" not in str(requirement.marker):
        return True
    return any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
