"""Installed distributions, from the raw texts that the probe read (no I/O here).

The first of a name on sys.path is the one that imports see. Of several versions in one directory, which
an interrupted upgrade leaves or two tools that do not know each other, it is the one whose files are
there. The other versions, a METADATA without a name and a version that can be used, and what pip left of
an interrupted uninstall (``~umpy``), are gaps, never errors.
Metadata: core metadata specification; WHEEL and RECORD: binary distribution format (PEP 427, PEP 376);
direct_url.json: PEP 610.
"""

import csv
import json
import re
from collections.abc import Iterable, Mapping
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from envlock.capture import licences
from envlock.capture.python import home_of
from envlock.core.redaction import redacted
from envlock.lock import record_lines
from envlock.lock.environment import DirectUrl, InstalledDistribution, RecordEntry
from envlock.lock.model import Gap

Raw = Mapping[str, str | None]
_SHA256 = re.compile(r"^sha256[=:]([A-Za-z0-9_=-]+)$")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_TAG = re.compile(r"(?:[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*-){2}[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")
_BUILD = re.compile(r"[0-9][A-Za-z0-9_.]*")
_DIRECTORY = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[A-Za-z0-9._+!]+)\.dist-info")
_DAMAGED = "its METADATA is damaged: name and version are those of its directory, and it gets another"
_LINE = re.compile("[^\n]*\n|[^\n]+")
_LONGEST = 200
_MOST_DIGITS = 15


def read(raw: Iterable[Raw]) -> tuple[tuple[InstalledDistribution, ...], tuple[Gap, ...]]:
    """Return the distributions sorted by name, and what is wrong with others.

    Several versions in one directory are all returned: :func:`settled` chooses, once they are verified.
    """
    chosen: dict[str, list[InstalledDistribution]] = {}
    gaps: list[Gap] = []
    for facts in raw:
        found = _distribution(facts)
        if isinstance(found, Gap):
            gaps.append(found)
            continue
        if f"{found.dist_info}/METADATA" in found.replaced:
            gaps.append(Gap(subject=found.name, reason=_DAMAGED))
        known = chosen.setdefault(found.name, [])
        # The same version twice (Debian's egg-info beside a dist-info) is one distribution.
        if all(one.version != found.version for one in known):
            if known and known[0].site != found.site:
                gaps.append(_other(known[0], found, "a later directory of sys.path"))
            else:
                known.append(found)
    return tuple(one for name in sorted(chosen) for one in chosen[name]), tuple(gaps)


def settled(
    verified: Iterable[InstalledDistribution],
) -> tuple[tuple[InstalledDistribution, ...], tuple[Gap, ...]]:
    """Return one distribution of each name: the one most of whose files are as its RECORD says."""
    versions: dict[str, list[InstalledDistribution]] = {}
    for one in verified:
        versions.setdefault(one.name, []).append(one)
    # Of equals the first.
    chosen = {name: max(several, key=_intact) for name, several in versions.items()}
    gaps = (
        _other(chosen[name], one, "the same directory")
        for name, several in versions.items()
        for one in several
        if one is not chosen[name]
    )
    return tuple(chosen.values()), tuple(gaps)


def _intact(distribution: InstalledDistribution) -> float:
    """Return the part of the recorded files that are as recorded; 0 where none is recorded."""
    recorded = sum(1 for entry in distribution.record if entry.sha256 is not None)
    return (recorded - len(distribution.modified)) / recorded if recorded else 0.0


def _other(chosen: InstalledDistribution, other: InstalledDistribution, where: str) -> Gap:
    return Gap(
        subject=other.name,
        reason=f"version {other.version} is also installed, in {where}; {chosen.version} was captured",
    )


def _distribution(facts: Raw) -> InstalledDistribution | Gap:
    directory = str(facts["name"])
    # A name on disk that is no UTF-8 can't be written into a lockfile.
    shown = directory.encode("utf-8", "backslashreplace").decode()
    if directory.startswith("~"):
        return Gap(subject=shown, reason="left of an interrupted uninstall; pip ignores it", harmless=True)
    metadata, damaged = _metadata(facts, directory)
    name, version = _one(metadata, "Name"), _one(metadata, "Version")
    if not name or not version:
        return Gap(subject=shown, reason="its METADATA is missing or has no name and version")
    if not _is_possible(name, version):
        return Gap(subject=shown, reason="its METADATA has no valid name and version")
    wheel = _headers(facts["WHEEL"])
    tags, build = tuple(sorted(wheel.get_all("Tag", []))), _one(wheel, "Build")
    usable = _is_usable(wheel, tags, build)
    return InstalledDistribution(
        name=canonicalize_name(name),
        raw_name=name,
        version=version,
        site=Path(str(facts["site"])),
        dist_info=directory,
        tags=tags if usable else (),
        build=build if usable else None,
        root_is_purelib=(_one(wheel, "Root-Is-Purelib") or "true").lower() == "true",
        record=_record(facts["RECORD"] or ""),
        requires_python=_one(metadata, "Requires-Python"),
        requires=tuple(sorted(metadata.get_all("Requires-Dist", []))),
        licences=licences.read(metadata),
        installer=(facts["INSTALLER"] or "").strip() or None,
        direct_url=_direct_url(facts["direct_url.json"]),
        # A wheel can't have such files: it gets others.
        replaced=(
            *([f"{directory}/METADATA"] if damaged else []),
            *([f"{directory}/WHEEL"] if not usable and facts["WHEEL"] is not None else []),
        ),
    )


def _metadata(facts: Raw, directory: str) -> tuple[Message, bool]:
    """Return the headers of METADATA; where it is damaged, those that its directory's name gives, and True.

    Only a directory with a RECORD is believed: without its files a name is of no use.
    """
    stated = _headers(facts["METADATA"])
    if _is_usable_metadata(stated) or not facts["RECORD"]:
        return stated, False
    named = _DIRECTORY.fullmatch(directory)
    if named is None:
        return stated, False
    made = _headers(f"Name: {named['name']}\nVersion: {named['version']}\n")
    return (made, True) if _is_usable_metadata(made) else (stated, False)


def _is_usable_metadata(metadata: Message) -> bool:
    name, version = _one(metadata, "Name"), _one(metadata, "Version")
    try:
        Version(version or "")
    except InvalidVersion:
        return False
    return _is_possible(name or "", version or "")


def _is_possible(name: str, version: str) -> bool:
    return _NAME.fullmatch(name) is not None and max(len(name), len(version)) <= _LONGEST


def _is_usable(wheel: Message, tags: tuple[str, ...], build: str | None) -> bool:
    """Tell whether a WHEEL file is one: its version is known, its tags and build can stand in a file name."""
    return (
        (_one(wheel, "Wheel-Version") or "").startswith("1.")
        and bool(tags)
        and all(_TAG.fullmatch(tag) for tag in tags)
        and (build is None or _BUILD.fullmatch(build) is not None)
    )


def _headers(text: str | None) -> Message:
    # NUL bytes and broken header lines must not stop the parser; it keeps what it can read.
    return HeaderParser().parsestr((text or "").replace("\0", ""))


def _one(message: Message, field: str) -> str | None:
    value = message.get(field)
    return " ".join(str(value).split()) or None if value is not None else None


def _record(text: str) -> tuple[RecordEntry, ...]:
    """Read RECORD's lines; those that are no (path, hash, size) row are left out."""
    found = record_lines.read(text)
    if found is not None:
        return found
    # Line by line: one distribution may have a million.
    lines = (line.group() for line in _LINE.finditer(text))
    try:
        return tuple(_entry(*(*row, "", "")[:3]) for row in csv.reader(lines) if row and row[0])
    except csv.Error:
        return ()


def _entry(path: str, digest: str, size: str) -> RecordEntry:
    matched = _SHA256.match(digest)
    return RecordEntry(
        path=path,
        sha256=matched.group(1).rstrip("=") if matched else None,
        size=int(size) if size.isdecimal() and len(size) <= _MOST_DIGITS else None,
    )


def _direct_url(text: str | None) -> DirectUrl | None:
    try:
        value: Any = json.loads(text) if text else None
        if not isinstance(value, dict) or not isinstance(value.get("url"), str):
            return None
        parts = urlsplit(value["url"])
    except (ValueError, RecursionError):
        return None
    archive, vcs, directory = (_table(value, key) for key in ("archive_info", "vcs_info", "dir_info"))
    kind = "vcs" if vcs else "archive" if "archive_info" in value else "directory"
    return DirectUrl(
        kind=kind,
        url=public_url(value["url"]),
        sha256=_archive_hash(archive),
        vcs=_text(vcs.get("vcs")),
        commit=_text(vcs.get("commit_id")),
        subdirectory=_text(value.get("subdirectory")),
        editable=directory.get("editable") is True,
        local=Path(unquote(parts.path)) if parts.scheme == "file" and parts.path.startswith("/") else None,
    )


def public_url(url: str) -> str:
    """Return ``url`` without credentials; a ``file:`` URL into a home directory keeps its last name only.

    So ``file:///home/ann/wheels/x.whl`` becomes ``file:x.whl``: the rest says who, not what.
    """
    bare = redacted(url)
    if bare.startswith("file:") and home_of(bare.removeprefix("file:").removeprefix("//")) is not None:
        return "file:" + PurePosixPath(bare).name
    return bare


def _table(value: dict[str, Any], key: str) -> dict[str, Any]:
    table = value.get(key)
    return table if isinstance(table, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _archive_hash(archive: dict[str, Any]) -> str | None:
    """Return the hexadecimal SHA-256 of an archive: ``hashes`` first, the older ``hash`` else."""
    digest = _text(_table(archive, "hashes").get("sha256"))
    if digest is None:
        matched = _SHA256.match(_text(archive.get("hash")) or "")
        digest = matched.group(1) if matched else None
    return digest
