"""Is the environment that was found in an image the one that its lock states? Pure.

Rules kept here:

* A package is right when the image has it in the lock's version, the locked wheel's RECORD accounts for
  every file of the installed one, and every installed file still has its recorded bytes. Files that the
  lock itself names as modified are left to whoever owns them.
* A package that the lock lacks is as wrong as one that the image lacks.
* The interpreter is right when implementation, ABI and version are the lock's. The files of the base need
  no such question: the lock has the digests of their layers, and so has the image.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from envlock.lock.environment import Environment, InstalledDistribution, RecordEntry
from envlock.lock.model import Lock, Package, Python
from envlock.wheels.match import same_files

Records = Mapping[str, Sequence[RecordEntry]]
"""Name of a package → the RECORD of its locked wheel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One thing in which the image is not what its lock says; None on the side that has none."""

    subject: str
    locked: str | None
    found: str | None
    files: tuple[str, ...] = ()


def mismatches(lock: Lock, found: Environment, records: Records) -> tuple[Mismatch, ...]:
    """Return all in which ``found`` is not what ``lock`` states, by subject."""
    locked = {package.name: package for package in lock.packages}
    installed = {one.name: one for one in found.distributions}
    told = [
        *_python(lock.python, found.python),
        *_pair("machine", lock.os.machine, found.os.machine),
        *(
            mismatch
            for name in locked.keys() | installed.keys()
            for mismatch in _package(name, locked.get(name), installed.get(name), records)
        ),
    ]
    return tuple(sorted(told, key=lambda one: one.subject))


def _python(locked: Python, found: Python) -> Iterator[Mismatch]:
    yield from _pair("python implementation", locked.implementation, found.implementation)
    yield from _pair("python ABI", locked.abi, found.abi)
    yield from _pair("python version", locked.version, found.version)


def _package(
    name: str, locked: Package | None, found: InstalledDistribution | None, records: Records
) -> Iterator[Mismatch]:
    versions = (one.version if one is not None else None for one in (locked, found))
    told = tuple(_pair(name, *versions))
    yield from told
    if locked is None or found is None or told:
        return
    subject = f"{name} {locked.version}"
    if not same_files(found, records[name]):
        yield Mismatch(subject=subject, locked=f"the files of {locked.wheel.name}", found="other files")
    edited = tuple(sorted(set(found.modified) - set(locked.modified)))
    if edited:
        yield Mismatch(subject=subject, locked="files as recorded", found="other bytes", files=edited)


def _pair(subject: str, locked: str | None, found: str | None) -> Iterator[Mismatch]:
    if locked != found:
        yield Mismatch(subject=subject, locked=locked, found=found)
