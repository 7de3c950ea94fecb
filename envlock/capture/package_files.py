"""The files of OS packages that go into the base, each with the checksum that its bytes must have.

What the package manager lists is filtered by the base's definition (documentation, other languages
and the machine's configuration stay behind; licence texts always come along). A file whose bytes
differ from the package's checksum is what really ran, so it is packed as it is, under its own
checksum, and named in a gap. Directories are not listed: the packer makes the parents of files.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

from envlock.capture.host_definition import HostDefinition, Matches, matcher
from envlock.capture.packages import Database, OsPackage
from envlock.core.digest import Digest
from envlock.host.files import CHUNK
from envlock.host.memory import Memory
from envlock.host.store import Store
from envlock.lock.environment import OwnedFile, PackedPackage
from envlock.lock.model import Gap, SystemPackage

_NAMED = 3
_CHECKED = "os-packages"


@dataclass(frozen=True, slots=True)
class _Checked:
    files: tuple[OwnedFile, ...]
    altered: tuple[str, ...]
    absent: tuple[str, ...]


def pack(
    packages: Iterable[OsPackage], database: Database, definition: HostDefinition
) -> tuple[tuple[PackedPackage, ...], tuple[Gap, ...]]:
    """Return the packages with their files, sorted by name, and what is not as it was installed."""
    chosen = sorted(packages, key=lambda package: (package.name, package.architecture, package.version))
    wanted = _wanted(definition)
    with _memory(database.store) as memory, ThreadPoolExecutor() as pool:
        identified = pool.submit(_identified, chosen, database, memory)
        checked = list(pool.map(lambda package: _check(package, database, wanted, memory), chosen))
    packed = tuple(
        PackedPackage(package=described, files=result.files, status=package.status)
        for package, described, result in zip(chosen, identified.result(), checked, strict=True)
    )
    gaps = [gap for package, result in zip(chosen, checked, strict=True) for gap in _gaps(package, result)]
    return packed, tuple(gaps)


def _wanted(definition: HostDefinition) -> Matches:
    kept, excluded = matcher(definition.keep), matcher(definition.exclude)
    configuration = matcher(definition.configuration)
    return lambda path: configuration(path) or (kept(path) and not excluded(path))


@contextmanager
def _memory(store: Store | None) -> Iterator[Memory]:
    with nullcontext(Memory("", {})) if store is None else store.memory(_CHECKED, "") as memory:
        yield memory


def _identified(packages: list[OsPackage], database: Database, memory: Memory) -> tuple[SystemPackage, ...]:
    """Return ``database.identified`` of the packages, asking only for those not asked for before."""
    depends = database.indexes()
    seen = memory.observe(depends)
    found: dict[str, SystemPackage] = {}
    for package in packages if depends else ():
        match memory.recall(_index(package), seen, _about(package)):
            case [str(digest), str(snapshot)]:
                sha256 = Digest(digest) if digest else None
                found[package.key] = replace(package.described, sha256=sha256, snapshot=snapshot or None)
            case _:
                pass
    missing = [package for package in packages if package.key not in found]
    asked = database.identified(missing) if missing else ()
    for package, described in zip(missing, asked, strict=True):
        found[package.key] = described
        if depends:
            digest = described.sha256.hex if described.sha256 is not None else ""
            answer = [digest, described.snapshot or ""]
            memory.keep(_index(package), seen, depends, answer, _about(package))
    return tuple(found[package.key] for package in packages)


def _index(package: OsPackage) -> str:
    return f"index {package.key}"


def _about(package: OsPackage) -> str:
    return f"{package.version} {package.architecture}"


def _check(package: OsPackage, database: Database, wanted: Matches, memory: Memory) -> _Checked:
    known = database.checksums(package)
    paths = sorted({*filter(wanted, database.files(package)), *database.licences(package)})
    kinds = {path: _kind(path) for path in paths}
    regular = {path for path, kind in kinds.items() if kind is not None and stat.S_ISREG(kind)}
    expected = {path: known[path] for path in paths if path in regular and path in known}
    altered = _altered(package, expected, memory)
    files = []
    for path, kind in kinds.items():
        if path in regular:
            files.append(OwnedFile(path=path, checksum=altered.get(path, known.get(path))))
        elif kind is not None and stat.S_ISLNK(kind):
            files.append(OwnedFile(path=path, checksum=None))
    absent = tuple(path for path, kind in kinds.items() if kind is None)
    return _Checked(tuple(files), tuple(altered), absent)


def _altered(package: OsPackage, expected: Mapping[str, str], memory: Memory) -> dict[str, str | None]:
    """Return path → checksum of the files that are not as ``expected``; None: one that can't be read."""

    def find() -> list[str]:
        found = ((path, _checksum(path, checksum)) for path, checksum in expected.items())
        return [f"{actual or ''} {path}" for path, actual in found if actual != expected[path]]

    about = hashlib.sha256(json.dumps(list(expected.items())).encode()).hexdigest()
    answers = memory.answer(f"files {package.key}", tuple(expected), find, about)
    pairs = (answer.split(" ", 1) for answer in answers)
    return {path: actual or None for actual, path in pairs}


def _gaps(package: OsPackage, result: _Checked) -> list[Gap]:
    gaps = []
    if result.altered:
        reason = f"changed since the OS package was installed, packed as they are: {_some(result.altered)}"
        gaps.append(Gap(subject=package.name, reason=reason))
    if result.absent:
        reason = f"listed by the OS package and not on this machine: {_some(result.absent)}"
        gaps.append(Gap(subject=package.name, reason=reason))
    return gaps


def _some(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more


def _kind(path: str) -> int | None:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return None


def _checksum(path: str, expected: str) -> str | None:
    """Return the file's checksum by the algorithm of ``expected``; None when the file can't be read."""
    # The manager's checksum guards against accidents; the layer's SHA-256 is what pins the bytes.
    algorithm, _, _ = expected.partition(":")
    state = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with open(path, "rb", buffering=0) as stream:
            while piece := stream.read(CHUNK):
                state.update(piece)
    except OSError:
        return None
    return f"{algorithm}:{state.hexdigest()}"
