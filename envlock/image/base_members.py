"""What a layer of the base is made of, and its entries.

Rules kept here (docs/image.md, "Bases"):

* Names sorted, parents explicit, owner 0:0 without names, one time; files keep their mode and symlinks
  their target, but nothing is ever setuid, setgid or a device. Hard links become files.
* A file is held to the checksum and the size that were seen before; other bytes raise IntegrityError.
* A file is read piece by piece, but for one whose bytes move: that takes all of it.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from posixpath import dirname

from envlock.core.progress import Advance
from envlock.host.files import CHUNK
from envlock.host.rooted import located
from envlock.image.pieces import PIECE, ahead
from envlock.image.relocate import Move, relocate, remains
from envlock.oci.layer import Content, Directory, Entry, Members, Symlink, cut
from envlock.oci.path import ImagePath
from envlock.runtime.errors import InputError, IntegrityError


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of a layer. Exactly one of ``source``, ``data`` and ``target`` is set; none: a directory."""

    path: str
    mode: int
    source: str | None = None
    data: bytes | None = None
    target: str | None = None
    checksum: str | None = None
    """``algorithm:hex`` in hashlib's names."""
    size: int = 0
    """Bytes of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A layer to be made: its members by path, and how their bytes move."""

    comment: str
    members: tuple[Member, ...]
    move: Move | None = None
    root: Path = Path("/")
    """Where the file system lies that the files are of."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(member.size for member in self.members)


def copied(root: Path, origin: str, path: str, checksum: str | None = None) -> Member:
    """Return the member at ``path`` for the file or link ``origin`` of ``root``. Raises InputError."""
    source = str(located(root, origin, follow=False))
    try:
        status = os.lstat(source)
        if stat.S_ISLNK(status.st_mode):
            return link(path, os.readlink(source))
    except OSError as error:
        raise _gone(source, error) from error
    # Permission bits and the sticky bit only: no setuid, no setgid.
    mode = status.st_mode & 0o1777
    return Member(path=path, mode=mode, source=source, checksum=checksum, size=status.st_size)


def link(path: str, target: str) -> Member:
    """Return a symlink."""
    return Member(path=path, mode=0o777, target=target)


def complete(members: Iterable[Member]) -> tuple[Member, ...]:
    """Add parents, drop a symlink that stands where others need a directory, and sort by path."""
    by_path = {member.path: member for member in members}
    for parent in _parents(by_path):
        member = by_path.get(parent)
        if member is None or member.target is not None:
            by_path[parent] = Member(path=parent, mode=0o755)
    return tuple(by_path[path] for path in sorted(by_path, key=lambda path: path.split("/")))


def _parents(paths: Iterable[str]) -> set[str]:
    found = {"/"}
    for path in paths:
        parent = dirname(path)
        while parent not in found:
            found.add(parent)
            parent = dirname(parent)
    return found - {"/"}


def identified(plan: Plan) -> Plan:
    """Return the plan with a checksum for every file, so that what is packed is what was looked at."""
    return replace(
        plan,
        members=tuple(
            replace(member, checksum=f"sha256:{_sha256(member)}") if is_unknown(member) else member
            for member in plan.members
        ),
    )


def is_unknown(member: Member) -> bool:
    """Tell whether the member is a file for which nobody has stated a checksum."""
    return member.source is not None and member.checksum is None


def _sha256(member: Member) -> str:
    state = hashlib.sha256()
    for piece in _pieces(member):
        state.update(piece)
    return state.hexdigest()


def entries(
    plan: Plan, advance: Advance, leftovers: list[str], pack: Callable[[bytes], bytes]
) -> Iterator[Entry]:
    """Yield the plan's members in a layer's order, telling ``advance`` of each file's bytes.

    Contents are gzip members that ``pack`` makes, on all cores and a little ahead. Paths of files that
    still name the old prefix after the move are added to ``leftovers``. Raises IntegrityError for a file
    that changed since it was looked at, InputError for one that is gone.
    """
    made = ahead(lambda part: pack(part.piece) if part.piece else b"", _parts(plan, advance, leftovers))
    for member, parts in groupby(made, key=lambda one: one[0].member):
        content = _content(member, ((part.piece, packed) for part, packed in parts if part.piece))
        yield Entry(path=ImagePath(member.path), mode=member.mode, content=content)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A piece of a file's bytes; one that is empty for what has none. ``member`` has its final size."""

    member: Member
    piece: bytes = b""


def _content(member: Member, pieces: Iterable[tuple[bytes, bytes]]) -> Content:
    if member.target is not None:
        return Symlink(target=member.target)
    return Directory() if _is_directory(member) else Members(size=member.size, pieces=pieces)


def _parts(plan: Plan, advance: Advance, leftovers: list[str]) -> Iterator[_Part]:
    # A layer's order, in which a name sorts by all of its characters, is not that of its directories.
    for member in sorted(plan.members, key=attrgetter("path")):
        if member.target is not None or _is_directory(member):
            yield _Part(member=member)
        else:
            yield from _of_file(member, plan.move, advance, leftovers)


def _of_file(member: Member, move: Move | None, advance: Advance, leftovers: list[str]) -> Iterator[_Part]:
    pieces: Iterable[bytes] = _checked(member)
    if move is not None:
        data = relocate(b"".join(pieces), move)
        if remains(data, move):
            leftovers.append(member.path)
        advance(member.size)
        member, pieces, advance = replace(member, size=len(data)), (data,), lambda _: None
    if not member.size:
        yield _Part(member=member)
    for piece in cut(pieces, PIECE):
        advance(len(piece))
        yield _Part(member=member, piece=piece)


def _is_directory(member: Member) -> bool:
    return member.source is None and member.data is None and member.target is None


def _checked(member: Member) -> Iterator[bytes]:
    """Yield the member's bytes, and raise IntegrityError in their place where they are others."""
    algorithm, _, expected = (member.checksum or "").partition(":")
    state = hashlib.new(algorithm, usedforsecurity=False) if algorithm else None
    size = 0
    for piece in _pieces(member):
        size += len(piece)
        if state is not None:
            state.update(piece)
        if size > member.size:
            break
        yield piece
    if size != member.size:
        raise _changed(member, f"{member.size} bytes", "more" if size > member.size else f"{size} bytes")
    if state is not None and state.hexdigest() != expected:
        raise _changed(member, member.checksum, f"{algorithm}:{state.hexdigest()}")


def _pieces(member: Member) -> Iterator[bytes]:
    if member.source is None:
        yield member.data or b""
        return
    try:
        with open(member.source, "rb", buffering=0) as stream:
            while piece := stream.read(CHUNK):
                yield piece
    except OSError as error:
        raise _gone(member.source, error) from error


def _changed(member: Member, expected: str | None, found: str) -> IntegrityError:
    return IntegrityError(
        "a file of the base changed while it was captured",
        where=member.path,
        expected=expected,
        found=found,
        hint="capture again when no package is being installed",
    )


def _gone(source: str, error: OSError) -> InputError:
    return InputError("cannot read a file of the base", where=source, found=os.strerror(error.errno or 0))
