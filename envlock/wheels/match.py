"""Is this wheel the one that was installed? Pure.

No installer records which file of an index it took. The file's name says version, build and tags
(binary distribution format, "File name convention"), and the installed WHEEL repeats them, so few files
are left. Which of them it was is then decided by RECORD: every file of the wheel must be installed with
the hash that the wheel states, and nothing else may be installed but what installers make.
"""

import posixpath
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packaging.tags import Tag, parse_tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from envlock.lock.environment import InstalledDistribution, RecordEntry
from envlock.wheels.record import is_bytecode, is_made_by_installer, normal

# The part of a platform tag that says how old a system may be, before the architecture.
_LIBC = re.compile(r"(manylinux_\d+_\d+|manylinux\d+|musllinux_\d+_\d+|linux)_")
_DATA = re.compile(r"[^/]+\.data/(purelib|platlib|scripts|headers|data)/(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """A file that an index offers. ``sha256`` (hex) and ``size`` (bytes) are None where it is silent."""

    filename: str
    url: str
    sha256: str | None
    size: int | None
    metadata_sha256: str | None = None
    """Of its METADATA, where the index serves that apart (PEP 658, PEP 714)."""


def candidates(distribution: InstalledDistribution, files: Iterable[IndexFile]) -> tuple[IndexFile, ...]:
    """Return the files that may be the installed wheel, the likeliest first.

    A wheel whose name was changed after its build (a manylinux tag given to a linux one) does not
    repeat its tags in WHEEL; it comes after those that do. Without a WHEEL file every wheel of the
    version is one.
    """
    version = Version(distribution.version)
    installed = frozenset[Tag]().union(*map(parse_tag, distribution.tags))
    metadata = _metadata_sha256(distribution)
    # Of any rank below there is one of these in the name: seen quicker than the name is parsed.
    interpreters = tuple({tag.interpreter for tag in installed}) or ("",)
    ranked = [
        (rank, file.filename, file)
        for file in files
        if None in (file.metadata_sha256, metadata) or file.metadata_sha256 == metadata
        if any(one in file.filename.lower() for one in interpreters)
        if (rank := _rank(file.filename, distribution, version, installed)) is not None
    ]
    return tuple(file for _, _, file in sorted(ranked, key=lambda one: one[:2]))


def same_files(distribution: InstalledDistribution, wheel: Iterable[RecordEntry]) -> bool:
    """Tell whether the wheel with this RECORD left the files that are installed."""
    stated, listed = frozenset(wheel), frozenset(distribution.record)
    # Nearly all lines are the same in both, and of no path that a rule below is about.
    alike = frozenset(entry for entry in stated & listed if ".data/" not in entry.path)
    installed = {normal(entry.path): entry for entry in listed - alike}
    outside = [entry for path, entry in installed.items() if path.startswith(("../", "/"))]
    explained: set[str] = set()
    for entry in stated - alike:
        path = entry.path
        if _is_changed_on_the_way(path):
            continue
        matched = _DATA.fullmatch(path)
        if matched and matched[1] in ("headers", "data"):
            if not _lies_outside(matched[2], entry, outside):
                return False
            continue
        path = matched[2] if matched else path
        if path not in installed or not _same(installed[path], entry):
            return False
        explained.add(path)
    return not any(_unexplained(distribution, installed, explained))


def _rank(
    filename: str, distribution: InstalledDistribution, version: Version, installed: frozenset[Tag]
) -> int | None:
    try:
        name, found, build, tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion):
        return None
    if name != distribution.name or found != version or "/" in filename:
        return None
    stated = "".join(map(str, build)) or None
    if installed == tags:
        return 0 if stated == distribution.build else 1
    if not installed or installed & tags:
        return 2
    return 3 if _without_libc(installed) & _without_libc(tags) else None


def _metadata_sha256(distribution: InstalledDistribution) -> str | None:
    """Return the hex digest of METADATA as RECORD states it; no other tells a wheel apart so cheaply."""
    name = f"{distribution.dist_info}/METADATA"
    stated = next((entry.sha256 for entry in distribution.record if entry.path == name), None)
    return urlsafe_b64decode(f"{stated}=").hex() if stated is not None else None


def _without_libc(tags: Iterable[Tag]) -> set[tuple[str, str, str]]:
    return {(tag.interpreter, tag.abi, _LIBC.sub("", tag.platform)) for tag in tags}


def _is_changed_on_the_way(path: str) -> bool:
    """Tell whether installers rewrite this member (RECORD, the first line of scripts)."""
    matched = _DATA.fullmatch(path)
    if matched:
        return matched[1] == "scripts"
    directory = path.partition("/")[0]
    # Only the wheel's own dist-info: vendored ones (setuptools/_vendor) are files like all others.
    return directory.endswith(".dist-info") and is_made_by_installer(path, directory)


def _same(installed: RecordEntry, entry: RecordEntry) -> bool:
    if installed.sha256 is None or entry.sha256 is None:
        return installed.size is None or entry.size is None or installed.size == entry.size
    return installed.sha256 == entry.sha256


def _lies_outside(path: str, entry: RecordEntry, outside: list[RecordEntry]) -> bool:
    # Where data and headers go depends on the installer's scheme; their end and their hash do not.
    name = posixpath.basename(path)
    return any(
        posixpath.basename(one.path) == name and one.sha256 == entry.sha256 and one.size == entry.size
        for one in outside
    )


def _unexplained(
    distribution: InstalledDistribution, installed: dict[str, RecordEntry], explained: set[str]
) -> Iterator[str]:
    """Yield the installed files that the wheel does not account for."""
    for path in installed.keys() - explained:
        if path.startswith(("../", "/")) or is_bytecode(path):
            continue
        if not is_made_by_installer(path, distribution.dist_info):
            yield path
