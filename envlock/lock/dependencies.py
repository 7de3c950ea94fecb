"""Which package of an environment needs which. Pure.

The rules are those of installers (dependency specifiers, core metadata ``Requires-Dist``): a requirement
counts where its marker holds for the captured interpreter. What an extra needs, the package needs that
asks for the extra, not the one that has it: so a package's entry stays as it is when another comes along.
Which extras a user asked for is written down nowhere, so those lead to no edge.
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.markers import UndefinedComparison
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from envlock.lock.model import Lock, OperatingSystem, Package, Python

if TYPE_CHECKING:  # a capture's, which a build need not import
    from envlock.lock.environment import InstalledDistribution

_NO_EXTRA = ""
_NAME = re.compile("[A-Za-z0-9._-]+")
_IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy"}


def with_dependencies(lock: Lock, distributions: "Iterable[InstalledDistribution]") -> Lock:
    """Return the lock with each package's ``dependencies``, those of them that are packages of the lock."""
    known = {one.name for one in lock.packages}
    markers = _markers(lock.python, lock.os)
    requirements = {one.name: tuple(_requirements(one, known)) for one in distributions if one.name in known}
    packages = (replace(one, dependencies=_needed(one.name, requirements, markers)) for one in lock.packages)
    return replace(lock, packages=tuple(packages))


def top(packages: tuple[Package, ...]) -> Iterator[str]:
    """Yield the packages that no other leads to; of packages that need each other, the first."""
    needs = {one.name: one.dependencies for one in packages}
    needed = {name for names in needs.values() for name in names}
    reached: set[str] = set()
    for name in sorted(needs, key=lambda one: (one in needed, one)):
        if name not in reached:
            yield name
            waiting = [name]
            while waiting:
                reached.add(one := waiting.pop())
                waiting += (more for more in needs[one] if more not in reached)


def _needed(
    package: str, requirements: Mapping[str, tuple[Requirement, ...]], markers: Mapping[str, str]
) -> tuple[str, ...]:
    """Return what the package needs, and what the extras need that it asks for."""
    found: set[str] = set()
    waiting = [(package, _NO_EXTRA)]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        for one in requirements.get(name, ()):
            if not _holds(one, {**markers, "extra": extra}) or (extra and _holds(one, markers)):
                continue
            wanted = canonicalize_name(one.name)
            found.add(wanted)
            more = {(wanted, canonicalize_name(asked)) for asked in one.extras} - seen
            seen |= more
            waiting += more
    return tuple(sorted(found - {package}))


def _requirements(distribution: "InstalledDistribution", known: Container[str]) -> Iterator[Requirement]:
    for line in distribution.requires:
        # Most lines name what is not installed, and parsing one costs more than all else here.
        name = _NAME.match(line)
        if name is None or canonicalize_name(name.group()) not in known:
            continue
        try:
            yield Requirement(line)
        except InvalidRequirement:
            continue


def _holds(requirement: Requirement, markers: Mapping[str, str]) -> bool:
    try:
        return requirement.marker is None or requirement.marker.evaluate(dict(markers))
    except UndefinedComparison:
        return False


def _markers(python: Python, system: OperatingSystem) -> dict[str, str]:
    """Return the captured interpreter's marker values, whatever Python envlock itself runs on."""
    return {
        "extra": _NO_EXTRA,
        "implementation_name": python.implementation,
        "implementation_version": python.version,
        "os_name": "posix",
        "platform_machine": system.machine,
        "platform_python_implementation": _IMPLEMENTATIONS.get(python.implementation, python.implementation),
        "platform_release": system.kernel,
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": python.version,
        "python_version": python.minor,
        "sys_platform": "linux",
    }
