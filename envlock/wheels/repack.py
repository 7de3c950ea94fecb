"""Rebuilding a wheel from installed files, for what no index has.

The wheel is a function of the files' names, bytes and executable bits: another machine, user or day
with the same files and the same compressor (the captured interpreter's zlib) makes the same wheel. It is
kept in the store, and remembered by all that it depends on, so that an unchanged package is not compressed
twice.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain

from envlock.core import canonical
from envlock.core.digest import Digest
from envlock.host.files import atomic_write, scratch_directory
from envlock.host.store import Store
from envlock.lock.environment import InstalledDistribution, RecordEntry
from envlock.lock.model import Wheel
from envlock.runtime.errors import InputError, IntegrityError
from envlock.wheels import archive, record
from envlock.wheels.archive import OWN, PIECE, Compressor, Member
from envlock.wheels.home_names import HomeNames
from envlock.wheels.members import filename, metadata_directory

_FORMAT = 3
SIDECAR = ".envlock/wheels"
"""Where repacked wheels lie, relative to the lockfile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repacked:
    """``naming_home``: members whose bytes name a home directory of the captured machine, sorted."""

    wheel: Wheel
    naming_home: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hashed:
    member: Member
    sha256: str
    size: int


def repack(
    distribution: InstalledDistribution,
    members: tuple[Member, ...],
    store: Store,
    advance: Callable[[int], None],
    homes: tuple[str, ...] = (),
    compressor: Compressor = OWN,
) -> Repacked:
    """Return the wheel made of ``members``, which is then in the store.

    ``advance`` is told of the bytes done; ``homes`` are the home directories that no member should name.
    Hashes that the members state are those of RECORD, checked at capture. Raises IntegrityError when a
    file no longer has that hash, InputError for one that can't be read.
    """
    try:
        hashed = tuple(_hashed(member) for member in members)
    except OSError as error:
        raise InputError(
            f"cannot read a file of {distribution.name} {distribution.version}",
            where=str(error.filename),
            found=error.strerror,
        ) from error
    name = filename(distribution, members)
    key = _key(name, hashed, homes, compressor)
    known = _remembered(store, key, name)
    if known is not None:
        advance(sum(one.size for one in hashed))
        return known
    names = HomeNames(homes)
    passing = _Passing(distribution, hashed, names, advance)
    digest, size = _write(distribution, hashed, store, passing, compressor)
    naming = names.files()
    store.remember("repacked", key, {"sha256": digest.hex, "size": size, "naming-home": naming})
    return _repacked(name, digest, size, naming)


def _hashed(member: Member) -> _Hashed:
    return _Hashed(member=member, sha256=member.sha256 or _digest(member), size=member.size)


def _digest(member: Member) -> str:
    state = hashlib.sha256()
    with member.open() as stream:
        while piece := stream.read(PIECE):
            state.update(piece)
    return record.encoded(state.digest())


def _key(name: str, hashed: Iterable[_Hashed], homes: tuple[str, ...], compressor: Compressor) -> str:
    files = hashlib.sha256()
    for one in hashed:
        files.update(canonical.dumps([one.member.name, one.member.executable, one.sha256, one.size]))
    return canonical.dumps([_FORMAT, compressor.name, name, files.hexdigest(), list(homes)]).decode()


def _remembered(store: Store, key: str, name: str) -> Repacked | None:
    fact = store.fact("repacked", key)
    match fact:
        case {"sha256": str(text), "size": int(size), "naming-home": list(naming)}:
            digest = Digest(text)
        case _:
            return None
    if store.find(digest) is None:
        return None
    return _repacked(name, digest, size, map(str, naming))


def _repacked(name: str, digest: Digest, size: int, naming: Iterable[str]) -> Repacked:
    wheel = Wheel(name=name, sha256=digest, size=size, path=f"{SIDECAR}/{name}")
    return Repacked(wheel=wheel, naming_home=tuple(naming))


class _Passing:
    """Holds the members to their hashes as they pass into the archive, one after the other.

    Of a million members only the one that passes costs memory.
    """

    def __init__(
        self,
        distribution: InstalledDistribution,
        hashed: Iterable[_Hashed],
        names: HomeNames,
        advance: Callable[[int], None],
    ) -> None:
        self._distribution, self._names, self._advance = distribution, names, advance
        self._expected = iter(hashed)
        self._passing: _Hashed | None = None
        self._state = hashlib.sha256()

    def piece(self, member: Member, data: bytes) -> None:
        """Take the next piece of ``member``. Raises IntegrityError when the one before was another."""
        if self._passing is None or self._passing.member is not member:
            self.end()
            # RECORD, which comes last, is made here and expected by nobody.
            self._passing, self._state = next(self._expected, None), hashlib.sha256()
        if self._passing is not None:
            self._state.update(data)
            self._names.take(member.name, data)
            self._advance(len(data))

    def end(self) -> None:
        """Check the member that passed last."""
        if self._passing is not None:
            _check(self._distribution, self._passing, record.encoded(self._state.digest()))


def _write(
    distribution: InstalledDistribution,
    hashed: tuple[_Hashed, ...],
    store: Store,
    passing: _Passing,
    compressor: Compressor,
) -> tuple[Digest, int]:
    members = chain((one.member for one in hashed), (_record(distribution, hashed),))
    place = store.root / "incoming"
    place.mkdir(parents=True, exist_ok=True)
    with scratch_directory(place) as directory:
        made = directory / "wheel"
        with atomic_write(made) as stream:
            archive.write(members, stream, passing.piece, compressor)
            passing.end()
        return store.add_file(made), made.stat().st_size


def _check(distribution: InstalledDistribution, hashed: _Hashed, found: str) -> None:
    if found != hashed.sha256:
        raise IntegrityError(
            f"a file of {distribution.name} {distribution.version} changed while it was captured",
            where=hashed.member.name,
            expected=f"sha256={hashed.sha256}",
            found=f"sha256={found}",
            hint="capture again when nothing writes to the environment",
        )


def _record(distribution: InstalledDistribution, hashed: Iterable[_Hashed]) -> Member:
    name = f"{metadata_directory(distribution)}/RECORD"
    entries = [RecordEntry(path=one.member.name, sha256=one.sha256, size=one.size) for one in hashed]
    own = RecordEntry(path=name, sha256=None, size=None)
    return Member(name=name, executable=False, content=record.dumps([*entries, own]))
