"""Finding the wheel that a distribution was installed from: by its direct URL, on indexes, in directories.

Rules kept here:

* What was confirmed once is remembered in the store, by the installed RECORD and the index, so that a
  second capture asks nothing of the network.
* A place that fails stops nothing: the next one is asked, and only where none confirms the wheel is it
  told why. So an answer never depends on a place that was not needed.
* A wheel that only this machine can reach (a directory, a URL that holds a secret) is kept in the store,
  to travel beside the lock; all others stay on their server.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion

from envlock.core.digest import Digest
from envlock.host.http import download
from envlock.host.rooted import located
from envlock.host.store import Store
from envlock.lock.environment import DirectUrl, InstalledDistribution, RecordEntry
from envlock.lock.model import Evidence, Wheel
from envlock.runtime.errors import EnvlockError, InputError, IntegrityError, UnreachableError
from envlock.wheels import record
from envlock.wheels.configuration import Index
from envlock.wheels.match import IndexFile, candidates, same_files
from envlock.wheels.page import Pages
from envlock.wheels.public_url import is_whole, public
from envlock.wheels.remote import NoRangesError, RemoteFile, read_record, tail_of
from envlock.wheels.repack import SIDECAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The wheel, how its hash is known, and the index that has it (None: a direct URL)."""

    wheel: Wheel
    evidence: Evidence
    index: str | None = None
    private: bool = False
    """Whether its URL was read with a login."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The wheel, or None where it must be repacked; and which places failed before that was known."""

    found: Found | None = None
    obstacles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Confirmed:
    wheel: Wheel
    private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """Where to look. Safe to use from many threads."""

    store: Store
    indexes: tuple[Index, ...]
    session: requests.Session
    offline: bool
    _pages: Pages = field(init=False)

    def __post_init__(self) -> None:
        """Ask all pages through one :class:`Pages`, which knows what failed."""
        object.__setattr__(self, "_pages", Pages(self.session))

    def find(self, distribution: InstalledDistribution) -> Answer:
        """Return the wheel, or why no place confirmed one."""
        if distribution.modified or not distribution.record:
            return Answer()
        direct = distribution.direct_url
        if direct is not None and not _names_wheel(direct, distribution):
            return Answer()
        obstacles: list[str] = []
        content = str(record.content_digest(distribution.record))
        at_url = self._direct(distribution, obstacles)
        on_indexes = (self._known(distribution, content), self._asked(distribution, content, obstacles))
        # A wheel beside a lock is a copy: it came from where it came from when that lock was made.
        ways = (*on_indexes, at_url) if _lies_beside_lock(direct) else (at_url, *on_indexes)
        for found in chain.from_iterable(ways):
            if _agrees(found, direct):
                return Answer(found=found, obstacles=tuple(obstacles))
        return Answer(obstacles=tuple(dict.fromkeys(obstacles)))

    def _direct(self, distribution: InstalledDistribution, obstacles: list[str]) -> Iterator[Found]:
        if distribution.direct_url is None:
            return
        try:
            found = self._at_direct_url(distribution, distribution.direct_url)
        except EnvlockError as error:
            obstacles.append(_told(error))
        else:
            yield from () if found is None else (found,)

    def _known(self, distribution: InstalledDistribution, content: str) -> Iterator[Found]:
        for index in self.indexes:
            found = self._remembered(_key(distribution, content, index), index)
            yield from () if found is None else (found,)

    def _asked(
        self, distribution: InstalledDistribution, content: str, obstacles: list[str]
    ) -> Iterator[Found]:
        """Ask one place after the other, noting the faults of those that fail."""
        for index in self.indexes:
            if self.offline and index.directory is None:
                obstacles.append("not confirmed: offline, so no index was asked")
                continue
            try:
                for found in self._on_index(distribution, index):
                    # Where a place before this one failed, the next capture may find a better answer.
                    if not obstacles:
                        self._remember(_key(distribution, content, index), found)
                    yield found
            except EnvlockError as error:
                obstacles.append(_told(error))

    def _on_index(self, distribution: InstalledDistribution, index: Index) -> Iterator[Found]:
        offered = self._pages.wheels(index, distribution.name, distribution.version)
        for file in candidates(distribution, offered):
            confirmed = self._confirmed(distribution, file)
            if confirmed is not None:
                yield Found(
                    wheel=confirmed.wheel,
                    evidence="hashed" if file.sha256 is None else "matched",
                    index=index.name,
                    private=confirmed.private,
                )

    def _confirmed(self, distribution: InstalledDistribution, file: IndexFile) -> _Confirmed | None:
        """Return the file as a wheel when its RECORD is that of the installed files."""
        if urlsplit(file.url).scheme == "file":
            return self._on_disk(distribution, file, Path(unquote(urlsplit(file.url).path)))
        private = False
        try:
            remote = RemoteFile(self.session, file.url, tail_of(distribution.record))
            private = remote.private
            if file.sha256 is not None and is_whole(file.url):
                if not _matches(distribution, remote, file.url):
                    return None
                digest = Digest(file.sha256.lower())
                wheel = Wheel(name=file.filename, url=public(file.url), sha256=digest, size=remote.size)
                return _Confirmed(wheel=wheel, private=private)
        except FileNotFoundError:
            return None
        except NoRangesError as error:
            private = error.private
        return self._downloaded(distribution, file, private=private)

    def _downloaded(
        self, distribution: InstalledDistribution, file: IndexFile, *, private: bool
    ) -> _Confirmed | None:
        expected = Digest(file.sha256.lower()) if file.sha256 is not None else None
        try:
            with self.store.writing(expected) as sink:
                download(self.session, file.url, sink, lambda _: None)
        except IntegrityError as error:
            raise _other_hash(file) from error
        with self.store.path(sink.digest).open("rb") as stream:
            if not _matches(distribution, stream, file.url):
                return None
        if is_whole(file.url):
            wheel = Wheel(name=file.filename, url=public(file.url), sha256=sink.digest, size=sink.size)
            return _Confirmed(wheel=wheel, private=private)
        return _Confirmed(wheel=_kept(file.filename, sink.digest, sink.size))

    def _on_disk(self, distribution: InstalledDistribution, file: IndexFile, path: Path) -> _Confirmed | None:
        """Return a wheel of a directory, copied into the store."""
        expected = Digest(file.sha256.lower()) if file.sha256 is not None else None
        try:
            with path.open("rb") as stream:
                if not _matches(distribution, stream, path.name):
                    return None
            digest = self.store.add_file(path, expected)
        except IntegrityError as error:
            raise _other_hash(file) from error
        except OSError as error:
            raise UnreachableError(
                f"cannot read {path.name}", found=(error.strerror or "").lower()
            ) from error
        return _Confirmed(wheel=_kept(file.filename, digest, path.stat().st_size))

    def _at_direct_url(self, distribution: InstalledDistribution, direct: DirectUrl) -> Found | None:
        """Return the wheel of an archive URL (PEP 610), by the hash that its installer recorded."""
        parts = urlsplit(direct.url)
        name = unquote(parts.path.rpartition("/")[2])
        url = direct.url
        if parts.scheme == "file":
            path = located(distribution.root, direct.local or Path(unquote(parts.path)))
            if not path.is_file():
                return None
            url = path.absolute().as_uri()
        elif self.offline:
            return None
        file = IndexFile(filename=name, url=url, sha256=direct.sha256, size=None)
        confirmed = self._confirmed(distribution, file)
        if confirmed is None:
            return None
        evidence: Evidence = "recorded" if direct.sha256 else "hashed"
        return Found(wheel=confirmed.wheel, evidence=evidence, private=confirmed.private)

    def _remember(self, key: str, found: Found) -> None:
        wheel = found.wheel
        value = {"name": wheel.name, "url": wheel.url, "sha256": wheel.sha256.hex, "size": wheel.size}
        self.store.remember("matched", key, {**value, "evidence": found.evidence, "private": found.private})

    def _remembered(self, key: str, index: Index) -> Found | None:
        match self.store.fact("matched", key):
            case {
                "name": str(name),
                "url": str() | None as url,
                "sha256": str(sha256),
                "size": int(size),
                "evidence": "matched" | "hashed" as evidence,
                "private": bool(private),
            }:
                digest = Digest(sha256)
                if url is None and self.store.find(digest) is None:
                    return None
                wheel = Wheel(name=name, url=url, sha256=digest, size=size)
                wheel = wheel if url is not None else _kept(name, digest, size)
                return Found(wheel=wheel, evidence=evidence, index=index.name, private=private)
            case _:
                return None


def _agrees(found: Found, direct: DirectUrl | None) -> bool:
    """Tell whether what was found for an archive has the hash that its installer recorded."""
    return direct is None or direct.sha256 in (None, found.wheel.sha256.hex)


def _lies_beside_lock(direct: DirectUrl | None) -> bool:
    return direct is not None and direct.local is not None and direct.local.match(f"{SIDECAR}/*")


def _kept(name: str, digest: Digest, size: int) -> Wheel:
    return Wheel(name=name, path=f"{SIDECAR}/{name}", sha256=digest, size=size)


def _key(distribution: InstalledDistribution, content: str, index: Index) -> str:
    return f"{distribution.name} {distribution.version} {content} {index.public_url}"


def _told(error: EnvlockError) -> str:
    return f"not confirmed: {error}" + (f" ({error.hint})" if error.hint else "")


def _other_hash(file: IndexFile) -> IntegrityError:
    return IntegrityError("another hash is stated for the wheel than it has", where=file.filename)


def _names_wheel(direct: DirectUrl, distribution: InstalledDistribution) -> bool:
    """Tell whether a direct URL is that of a wheel; a sdist, a directory or a VCS has none."""
    parts = urlsplit(direct.url)
    if direct.kind != "archive" or parts.scheme not in ("http", "https", "file"):
        return False
    try:
        return parse_wheel_filename(unquote(parts.path.rpartition("/")[2]))[0] == distribution.name
    except (InvalidWheelFilename, InvalidVersion):
        return False


def _matches(distribution: InstalledDistribution, stream: object, where: str) -> bool:
    try:
        entries: tuple[RecordEntry, ...] = read_record(stream, where)  # type: ignore[arg-type]
    except InputError:
        # A damaged file on a server is no proof against the installed one: it is only no match.
        return False
    return same_files(distribution, entries)
