"""The ``host`` base: the captured machine's OS packages and interpreter, packed once.

Rules kept here (docs/image.md, "Bases"):

* Layer 1, ``os``: the files of OS packages, unowned libraries and what :mod:`base_root` makes.
  Layer 2, ``python``: the relocated interpreter, where no package owns it, and /opt/env/bin's links.
  Layer 3: the standard library's bytecode (:mod:`base_bytecode`).
* Names sorted, parents explicit, owner 0:0 without names, one time; files keep their mode and symlinks
  their target, but nothing is ever setuid, setgid or a device. Hard links become files.
* A file is held to the MD5 that the capture saw; other bytes raise IntegrityError.
* Compression is gzip -6 with time 0 and happens once: what it yields is pinned in the lock.
* A layer is remembered by everything that goes into it, so a second capture packs nothing.
"""

import hashlib
import json
import os
import stat
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from envlock.core.digest import Digest
from envlock.core.progress import Advance, Progress
from envlock.host.store import HashingWriter, Store
from envlock.image import base_bytecode, base_root, remembered
from envlock.image.base_layer import pinned
from envlock.image.relocate import Move, alias, relocate, remains
from envlock.lock.environment import HostFiles
from envlock.lock.model import Base, BaseLayer, Gap, Python
from envlock.oci import tar
from envlock.oci.layer import MTIME
from envlock.oci.model import Layer
from envlock.runtime.errors import InputError, IntegrityError, UnreachableError

FORMAT = "1"
"""Changes whenever the same inputs give other bytes."""

_FACTS = "base-layer"
_LEFTOVERS = "base-leftovers"
_ENVIRONMENT = "/opt/env/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """The base, and what could not be packed as it should be."""

    base: Base
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A member of a layer. Exactly one of ``source``, ``data`` and ``target`` is set; none: a directory."""

    path: str
    mode: int
    source: str | None = None
    data: bytes | None = None
    target: str | None = None
    md5: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A layer to be made: its members by path, and how their bytes move."""

    comment: str
    members: tuple[_Member, ...]
    move: Move | None = None


def pack_host(
    host_files: HostFiles, *, python: Python, store: Store, progress: Progress, bytecode: bool = True
) -> Packed:
    """Pack ``host_files`` and also return what still names the captured machine's home directory.

    With ``bytecode`` a third layer holds that of the standard library; a gap where it can't be made.

    Raises IntegrityError for a file that changed since it was captured, InputError for one that is gone.
    """
    plans = (_os_plan(host_files), _python_plan(host_files, python))
    total = sum(_size(member) for plan in plans for member in plan.members)
    with progress.task("packing the base", total, "B") as advance, ThreadPoolExecutor(len(plans)) as pool:
        done = list(pool.map(lambda plan: _layer(plan, store, advance), plans))
    layers = tuple(layer for layer, _ in done)
    gaps = {gap for _, found in done for gap in found}
    if bytecode:
        try:
            made = base_bytecode.layer(layers, python, store, progress)
        except (InputError, UnreachableError):
            # Its text names places of this machine, which no lock may.
            gaps.add(Gap(subject=base_bytecode.COMMENT, reason="the packed interpreter does not run here"))
        else:
            layers = layers if made is None else (*layers, made)
    found = tuple(sorted(gaps, key=lambda gap: gap.subject))
    return Packed(base=Base(kind="host", layers=layers), gaps=found)


def _os_plan(host: HostFiles) -> _Plan:
    members = [_copied(path, path, None) for path in host.loose]
    members += [_copied(source, target, None) for source, target in host.moved]
    members += [
        _copied(file.path, file.path, file.md5) for package in host.packages for file in package.files
    ]
    members += [_Member(path=path, mode=0o644, data=data) for path, data in base_root.files(host).items()]
    taken = {member.path for member in members}
    members += [_link(path, to) for path, to in base_root.links(host).items() if path not in taken]
    directories = [_Member(path=path, mode=mode) for path, mode in base_root.DIRECTORIES.items()]
    return _Plan(comment="os", members=_complete([*members, *directories]))


def _python_plan(host: HostFiles, python: Python) -> _Plan:
    names = ("python", "python3", f"python{python.minor}")
    members = [_link(f"{_ENVIRONMENT}/{name}", host.python_executable) for name in names]
    tree, move = host.interpreter, None
    if tree is not None:
        move = Move(old=str(tree.prefix), new=tree.target)
        members += [_copied(f"{tree.prefix}/{name}", f"{tree.target}/{name}", None) for name in tree.files]
        named = alias(move)
        members += [_link(*named)] if named is not None else []
    return _Plan(comment="python", members=_complete(members), move=move)


def _copied(source: str, path: str, md5: str | None) -> _Member:
    try:
        status = os.lstat(source)
        if stat.S_ISLNK(status.st_mode):
            return _link(path, os.readlink(source))
    except OSError as error:
        raise _gone(source, error) from error
    # Permission bits and the sticky bit only: no setuid, no setgid.
    return _Member(path=path, mode=status.st_mode & 0o1777, source=source, md5=md5)


def _link(path: str, target: str) -> _Member:
    return _Member(path=path, mode=0o777, target=target)


def _complete(members: Iterable[_Member]) -> tuple[_Member, ...]:
    """Add parents, drop a symlink that stands where others need a directory, and sort by path."""
    by_path = {member.path: member for member in members}
    parents = {str(parent) for path in by_path for parent in Path(path).parents} - {"/"}
    for parent in parents:
        member = by_path.get(parent)
        if member is None or member.target is not None:
            by_path[parent] = _Member(path=parent, mode=0o755)
    return tuple(by_path[path] for path in sorted(by_path, key=lambda path: path.split("/")))


def _layer(plan: _Plan, store: Store, advance: Advance) -> tuple[BaseLayer, tuple[Gap, ...]]:
    key = _key(plan)
    known = _remembered(plan, key, store)
    if known is not None:
        advance(sum(_size(member) for member in plan.members))
        return known
    leftovers: list[str] = []
    with store.writing() as sink:
        diff_id = _write(plan, sink, advance, leftovers)
    layer = Layer(diff_id=diff_id, blob=sink.digest, size=sink.size, comment=plan.comment)
    # The layer last: where it is remembered, so is what was found in it.
    store.remember(_LEFTOVERS, key, {"paths": leftovers})
    remembered.keep(store, _FACTS, key, layer)
    return pinned(layer), _gaps(leftovers)


def _key(plan: _Plan) -> str:
    """Return a text with every input of the layer: format, move, and each member with its bytes' hash."""
    move = [plan.move.old, plan.move.new] if plan.move is not None else None
    rows = [[m.path, m.mode, m.target, m.md5 or _hash(m)] for m in plan.members]
    return json.dumps([FORMAT, MTIME, zlib.ZLIB_RUNTIME_VERSION, plan.comment, move, rows])


def _hash(member: _Member) -> str | None:
    if member.source is None and member.data is None:
        return None
    return hashlib.sha256(_read(member)).hexdigest()


def _remembered(plan: _Plan, key: str, store: Store) -> tuple[BaseLayer, tuple[Gap, ...]] | None:
    layer = remembered.recall(store, _FACTS, key, plan.comment)
    leftovers = (store.fact(_LEFTOVERS, key) or {}).get("paths")
    if layer is None or not isinstance(leftovers, list):
        return None
    return pinned(layer), _gaps(map(str, leftovers))


def _write(plan: _Plan, sink: HashingWriter, advance: Advance, leftovers: list[str]) -> Digest:
    """Write the layer's blob and return its diff ID."""
    # 31: a gzip member, whose header zlib writes with time 0 and no name.
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    state = hashlib.sha256()
    for piece in _archive(plan, advance, leftovers):
        state.update(piece)
        sink.write(packer.compress(piece))
    sink.write(packer.flush())
    return Digest(state.hexdigest())


def _archive(plan: _Plan, advance: Advance, leftovers: list[str]) -> Iterator[bytes]:
    for member in plan.members:
        name = member.path[1:]
        if member.target is not None:
            yield tar.header(name, kind="symlink", mode=member.mode, mtime=MTIME, target=member.target)
        elif member.source is None and member.data is None:
            yield tar.header(name, kind="directory", mode=member.mode, mtime=MTIME)
        else:
            data = _read(member)
            advance(len(data))
            if plan.move is not None:
                data = relocate(data, plan.move)
                if remains(data, plan.move):
                    leftovers.append(member.path)
            yield tar.header(name, mode=member.mode, mtime=MTIME, size=len(data))
            yield data
            yield tar.padding(len(data))
    yield tar.END


def _read(member: _Member) -> bytes:
    if member.source is None:
        return member.data or b""
    try:
        data = Path(member.source).read_bytes()
    except OSError as error:
        raise _gone(member.source, error) from error
    if member.md5 is not None:
        actual = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if actual != member.md5:
            raise IntegrityError(
                "a file of the base changed while it was captured",
                where=member.path,
                expected=f"MD5 {member.md5}",
                found=actual,
                hint="capture again when no package is being installed",
            )
    return data


def _gone(source: str, error: OSError) -> InputError:
    return InputError("cannot read a file of the base", where=source, found=os.strerror(error.errno or 0))


def _gaps(leftovers: Iterable[str]) -> tuple[Gap, ...]:
    reason = "the packed interpreter still names the home directory that it was captured from"
    return tuple(Gap(subject=name, reason=reason) for name in leftovers)


def _size(member: _Member) -> int:
    if member.source is None:
        return len(member.data or b"")
    return os.path.getsize(member.source)
