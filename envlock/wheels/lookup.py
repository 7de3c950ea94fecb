"""Finding the wheel that a distribution was installed from: by its direct URL, or on the indexes.

What was confirmed once is remembered in the store, by the installed RECORD and the index, so that a
second capture asks nothing of the network.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion

from envlock.core.digest import Digest
from envlock.host.files import file_digest
from envlock.host.http import download
from envlock.host.store import Store
from envlock.lock.environment import DirectUrl, InstalledDistribution, RecordEntry
from envlock.lock.model import Evidence, Wheel
from envlock.runtime.errors import InputError, IntegrityError
from envlock.wheels import page, record
from envlock.wheels.configuration import Index, without_credentials
from envlock.wheels.match import IndexFile, candidates, same_files
from envlock.wheels.remote import NoRangesError, RemoteFile, read_record
from envlock.wheels.repack import SIDECAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The wheel, how its hash is known, and the index that has it (None: a direct URL)."""

    wheel: Wheel
    evidence: Evidence
    index: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """Where to look. Safe to use from many threads."""

    store: Store
    indexes: tuple[Index, ...]
    session: requests.Session
    offline: bool

    def find(self, distribution: InstalledDistribution) -> Found | None:
        """Return the wheel, or None where it must be repacked.

        Raises UnreachableError for an index that does not answer and IntegrityError for one whose
        file does not have the hash that it states.
        """
        if distribution.modified or not distribution.record:
            return None
        if distribution.direct_url is not None:
            return self._at_direct_url(distribution, distribution.direct_url)
        for index in self.indexes:
            found = self._remembered(distribution, index)
            if found is not None:
                return found
        return next(self._on_indexes(distribution), None) if not self.offline else None

    def _on_indexes(self, distribution: InstalledDistribution) -> Iterator[Found]:
        for index in self.indexes:
            offered = page.wheels(self.session, index, distribution.name, distribution.version)
            for file in candidates(distribution, offered):
                wheel = self._confirmed(distribution, file)
                if wheel is not None:
                    evidence: Evidence = "hashed" if file.sha256 is None else "matched"
                    found = Found(wheel=wheel, evidence=evidence, index=index.name)
                    self._remember(distribution, index, found)
                    yield found

    def _confirmed(self, distribution: InstalledDistribution, file: IndexFile) -> Wheel | None:
        """Return the file as a wheel when its RECORD is that of the installed files."""
        try:
            remote = RemoteFile(self.session, file.url)
            if file.sha256 is not None:
                if not _matches(distribution, remote, file.url):
                    return None
                return Wheel(
                    name=file.filename, url=file.url, sha256=Digest(file.sha256.lower()), size=remote.size
                )
        except FileNotFoundError:
            return None
        except NoRangesError:
            pass
        return self._downloaded(distribution, file)

    def _downloaded(self, distribution: InstalledDistribution, file: IndexFile) -> Wheel | None:
        expected = Digest(file.sha256.lower()) if file.sha256 is not None else None
        try:
            with self.store.writing(expected) as sink:
                download(self.session, file.url, sink, lambda _: None)
        except IntegrityError as error:
            raise IntegrityError(
                f"the index states another hash for {distribution.name} {distribution.version}",
                where=file.url,
                expected=error.expected,
                found=error.found,
            ) from error
        with self.store.path(sink.digest).open("rb") as stream:
            if not _matches(distribution, stream, file.url):
                return None
        return Wheel(name=file.filename, url=file.url, sha256=sink.digest, size=sink.size)

    def _at_direct_url(self, distribution: InstalledDistribution, direct: DirectUrl) -> Found | None:
        """Return the wheel of an archive URL (PEP 610); a sdist, a directory or a VCS has none."""
        parts = urlsplit(direct.url)
        name = unquote(parts.path.rpartition("/")[2])
        if direct.kind != "archive" or not _is_wheel_of(name, distribution):
            return None
        if parts.scheme == "file":
            return self._in_file(distribution, Path(unquote(parts.path)), direct.sha256)
        if parts.scheme not in ("http", "https") or self.offline:
            return None
        file = IndexFile(filename=name, url=without_credentials(direct.url), sha256=direct.sha256, size=None)
        wheel = self._confirmed(distribution, file)
        if wheel is None:
            return None
        return Found(wheel=wheel, evidence="recorded" if direct.sha256 else "hashed")

    def _in_file(self, distribution: InstalledDistribution, path: Path, sha256: str | None) -> Found | None:
        """Return a wheel that still lies on this disk, copied into the store."""
        if not path.is_absolute() or not path.is_file():
            return None
        digest = file_digest(path)
        if sha256 is not None and sha256 != digest.hex:
            return None
        with path.open("rb") as stream:
            if not _matches(distribution, stream, path.name):
                return None
        self.store.add_file(path, digest)
        wheel = Wheel(name=path.name, path=f"{SIDECAR}/{path.name}", sha256=digest, size=path.stat().st_size)
        return Found(wheel=wheel, evidence="recorded" if sha256 else "hashed")

    def _remember(self, distribution: InstalledDistribution, index: Index, found: Found) -> None:
        self.store.remember(
            "matched",
            _key(distribution, index),
            {
                "name": found.wheel.name,
                "url": found.wheel.url,
                "sha256": found.wheel.sha256.hex,
                "size": found.wheel.size,
                "evidence": found.evidence,
            },
        )

    def _remembered(self, distribution: InstalledDistribution, index: Index) -> Found | None:
        match self.store.fact("matched", _key(distribution, index)):
            case {
                "name": str(name),
                "url": str(url),
                "sha256": str(sha256),
                "size": int(size),
                "evidence": "matched" | "hashed" as evidence,
            }:
                wheel = Wheel(name=name, url=url, sha256=Digest(sha256), size=size)
                return Found(wheel=wheel, evidence=evidence, index=index.name)
            case _:
                return None


def _key(distribution: InstalledDistribution, index: Index) -> str:
    content = record.content_digest(distribution.record)
    return f"{distribution.name} {distribution.version} {content} {index.public_url}"


def _is_wheel_of(filename: str, distribution: InstalledDistribution) -> bool:
    try:
        return parse_wheel_filename(filename)[0] == distribution.name
    except (InvalidWheelFilename, InvalidVersion):
        return False


def _matches(distribution: InstalledDistribution, stream: object, where: str) -> bool:
    try:
        entries: tuple[RecordEntry, ...] = read_record(stream, where)  # type: ignore[arg-type]
    except InputError:
        # A damaged file on a server is no proof against the installed one: it is only no match.
        return False
    return same_files(distribution, entries)
