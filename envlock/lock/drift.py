"""What has changed between a lock and the environment as it is now. Pure.

Grades: ``environment`` is what the environment-id covers, or bytes that its packages load, and decides
results; ``host`` is the machine under it and may change the numerics; ``note`` is neither.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from envlock.lock.environment import Environment
from envlock.lock.model import Gpu, Lock

Grade = Literal["environment", "host", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference: ``locked`` or ``found`` is None where that side has nothing of the kind."""

    grade: Grade
    subject: str
    locked: str | None
    found: str | None


def drift(lock: Lock, now: Environment) -> tuple[Drift, ...]:
    """Return every difference: packages first, then interpreter and OS, then the host."""
    return (*_packages(lock, now), *_modified(lock, now), *_system(lock, now), *_host(lock, now))


def _packages(lock: Lock, now: Environment) -> Iterator[Drift]:
    locked = {package.name: package.version for package in lock.packages}
    found = {one.name: one.version for one in now.distributions}
    # What capture left out (envlock itself, editable trees) stands in the gaps and is no drift.
    left_out = {gap.subject for gap in lock.gaps}
    for name in sorted(locked.keys() | (found.keys() - left_out)):
        if locked.get(name) != found.get(name):
            yield Drift(grade="environment", subject=name, locked=locked.get(name), found=found.get(name))


def _modified(lock: Lock, now: Environment) -> Iterator[Drift]:
    known = {package.name: set(package.modified) for package in lock.packages}
    for one in now.distributions:
        for path in sorted(set(one.modified) - known.get(one.name, set())):
            if one.name in known:
                yield Drift(
                    grade="environment",
                    subject=f"{one.name}: {path}",
                    locked="as installed",
                    found="modified",
                )


def _system(lock: Lock, now: Environment) -> Iterator[Drift]:
    yield from _pair("environment", "python", _python(lock), _python(now))
    yield from _pair("environment", "libc", lock.os.libc, now.os.libc)
    packed = now.host_files.packages if now.host_files else ()
    locked = {one.name: one.version for one in lock.system_packages}
    found = {one.package.name: one.package.version for one in packed}
    for name in sorted(locked.keys() | found.keys()):
        yield from _pair("environment", f"system package {name}", locked.get(name), found.get(name))
    yield from _pair("note", "kernel", lock.os.kernel, now.os.kernel)


def _host(lock: Lock, now: Environment) -> Iterator[Drift]:
    yield from _pair("host", "cpu", lock.cpu.model, now.cpu.model)
    yield from _pair("host", "cpu isa", lock.cpu.isa, now.cpu.isa)
    yield from _pair("host", "cores", str(lock.cpu.cores), str(now.cpu.cores))
    yield from _pair("host", "gpu driver", lock.gpu.driver, now.gpu.driver)
    yield from _pair("host", "gpu", _devices(lock.gpu), _devices(now.gpu))


def _pair(grade: Grade, subject: str, locked: str | None, found: str | None) -> Iterator[Drift]:
    if locked != found:
        yield Drift(grade=grade, subject=subject, locked=locked, found=found)


def _python(of: Lock | Environment) -> str:
    return f"{of.python.implementation} {of.python.version} ({of.python.build})"


def _devices(gpu: Gpu) -> str | None:
    return ", ".join(f"{one.model} (sm_{one.capability.replace('.', '')})" for one in gpu.devices) or None
