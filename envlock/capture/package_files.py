"""The files of OS packages that go into the base, each with the MD5 that its bytes must have.

What the package manager lists is filtered by the base's definition (documentation, other languages
and the machine's configuration stay behind; the copyright file always comes along). A file whose
bytes differ from the package's checksum is what really ran, so it is packed as it is, under its own
checksum, and named in a gap. Directories are not listed: the packer makes the parents of files.
"""

import hashlib
import os
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from envlock.capture.host_definition import HostDefinition, Matches, matcher
from envlock.capture.packages_dpkg import Database, DebianPackage, deb_digests
from envlock.host.files import CHUNK
from envlock.lock.environment import OwnedFile, PackedPackage
from envlock.lock.model import Gap

_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Checked:
    files: tuple[OwnedFile, ...]
    altered: tuple[str, ...]
    absent: tuple[str, ...]


def pack(
    packages: Iterable[DebianPackage], database: Database, definition: HostDefinition
) -> tuple[tuple[PackedPackage, ...], tuple[Gap, ...]]:
    """Return the packages with their files, sorted by name, and what is not as it was installed."""
    chosen = sorted(packages, key=lambda package: (package.name, package.architecture))
    wanted = _wanted(definition)
    digests = deb_digests(package.described for package in chosen)
    with ThreadPoolExecutor() as pool:
        checked = list(pool.map(lambda package: _check(package, database, wanted), chosen))
    packed = tuple(
        PackedPackage(
            package=replace(
                package.described,
                sha256=digests.get((package.name, package.version, package.architecture)),
            ),
            files=result.files,
            status=package.status,
        )
        for package, result in zip(chosen, checked, strict=True)
    )
    gaps = [gap for package, result in zip(chosen, checked, strict=True) for gap in _gaps(package, result)]
    return packed, tuple(gaps)


def _wanted(definition: HostDefinition) -> Matches:
    kept, excluded = matcher(definition.keep), matcher(definition.exclude)
    configuration = matcher(definition.configuration)
    return lambda path: configuration(path) or (kept(path) and not excluded(path))


def _check(package: DebianPackage, database: Database, wanted: Matches) -> _Checked:
    known = database.checksums(package)
    files, altered, absent = [], [], []
    copyright_file = f"/usr/share/doc/{package.name}/copyright"
    licence = [copyright_file] if os.path.isfile(copyright_file) else []
    for path in (*filter(wanted, database.files(package)), *licence):
        kind = _kind(path)
        if kind is None:
            absent.append(path)
        elif stat.S_ISREG(kind) and path in known:
            actual = _md5(path)
            files.append(OwnedFile(path=path, md5=actual))
            if actual != known[path]:
                altered.append(path)
        elif stat.S_ISREG(kind) or stat.S_ISLNK(kind):
            files.append(OwnedFile(path=path, md5=None))
    return _Checked(tuple(sorted(files, key=lambda file: file.path)), tuple(altered), tuple(absent))


def _gaps(package: DebianPackage, result: _Checked) -> list[Gap]:
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


def _md5(path: str) -> str | None:
    """Return the MD5 as dpkg writes it; None when the file can't be read."""
    # dpkg's checksum guards against accidents; the layer's SHA-256 is what pins the bytes.
    state = hashlib.md5(usedforsecurity=False)
    try:
        with open(path, "rb", buffering=0) as stream:
            while piece := stream.read(CHUNK):
                state.update(piece)
    except OSError:
        return None
    return state.hexdigest()
