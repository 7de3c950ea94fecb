"""Which package of an environment needs which. Pure.

The rules are those of installers (dependency specifiers, core metadata ``Requires-Dist``): a requirement
counts where its marker holds for the captured interpreter, an extra's where some package asks for that
extra. Which extras a user asked for is written down nowhere, so those lead to no edge.
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace

from packaging.markers import UndefinedComparison
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import Lock, OperatingSystem, Package, Python

_NO_EXTRA = ""
_NAME = re.compile("[A-Za-z0-9._-]+")
_IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy"}


def with_dependencies(lock: Lock, distributions: Iterable[InstalledDistribution]) -> Lock:
    """Return the lock with each package's ``dependencies``, those of them that are packages of the lock."""
    known = {one.name for one in lock.packages}
    markers = _markers(lock.python, lock.os)
    requirements = {one.name: tuple(_requirements(one, known)) for one in distributions if one.name in known}
    found = _found(requirements, markers)
    return replace(lock, packages=tuple(_with(package, found) for package in lock.packages))


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


def _with(package: Package, found: Mapping[str, set[str]]) -> Package:
    needed = found.get(package.name, set()) - {package.name}
    return replace(package, dependencies=tuple(sorted(needed)))


def _found(
    requirements: Mapping[str, tuple[Requirement, ...]], markers: Mapping[str, str]
) -> dict[str, set[str]]:
    """Return what each distribution needs, itself with an extra included."""
    waiting = [(name, _NO_EXTRA) for name in requirements]
    seen = set(waiting)
    found: dict[str, set[str]] = {name: set() for name in requirements}
    while waiting:
        name, extra = waiting.pop()
        for one in requirements[name]:
            wanted = canonicalize_name(one.name)
            if not _holds(one, {**markers, "extra": extra}):
                continue
            found[name].add(wanted)
            more = {(wanted, canonicalize_name(asked)) for asked in one.extras} - seen
            seen |= more
            waiting += more
    return found


def _requirements(distribution: InstalledDistribution, known: Container[str]) -> Iterator[Requirement]:
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
