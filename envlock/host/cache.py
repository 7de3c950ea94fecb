"""What lies in the store, how much of the disk it takes, and taking away what nobody needs.

Rules kept here (docs/adr/0023-cache.md):

* Nothing is removed while another command uses the store, and no tree on which a job has a lease
  (:mod:`envlock.host.trees`).
* Everything can be made or fetched again: what is removed costs time, never a result.
* What an interrupted command left (``incoming``, temporary names) is nobody's once the store is nobody's.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from envlock.core.digest import Digest
from envlock.host import trees
from envlock.host.files import remove_tree
from envlock.host.locking import exclusive_at_once
from envlock.host.store import Store
from envlock.runtime.errors import UnreachableError

Kind = Literal["wheels", "layers", "images", "interpreters", "notes", "unfinished"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_ZIP: Final = b"PK"
_TREES: Final[dict[trees.Kind, Kind]] = {"rootfs": "images", "interpreters": "interpreters"}
_TEMPORARY: Final = (".part", ".old")
_BLOCK: Final = 512
"""Bytes that st_blocks counts in (stat(2))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing in the store. ``size``: bytes that it takes on the disk; ``used``: seconds since 1970."""

    kind: Kind
    path: Path
    size: int
    used: float


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """Keep other commands out of the store for the block. Raises UnreachableError when one is in it."""
    with exclusive_at_once(store.lock) as held:
        if not held:
            raise UnreachableError(
                "the cache is in use",
                where=str(store.root),
                expected="no other envlock command that reads or writes it",
                hint="try again when it has ended; a job that is already running does not count",
            )
        yield


def entries(store: Store) -> Iterator[Entry]:
    """Yield everything in the store; what goes away meanwhile may be left out."""
    yield from _blobs(store)
    for directory, kind in _TREES.items():
        yield from _unpacked(store.root / directory, kind)
    for path in _files(store.root / "facts"):
        with suppress(FileNotFoundError):
            yield _entry(_temporary(path) or "notes", path, path)
    for path in _children(store.root / "incoming"):
        with suppress(FileNotFoundError):
            yield _entry("unfinished", path, path)


def remove(entry: Entry, store: Store) -> bool:
    """Remove ``entry``, the store being nobody else's; False when a job has a lease on it."""
    if entry.kind in _TREES.values():
        return trees.discard(entry.path, store)
    remove_tree(entry.path)
    return True


def _blobs(store: Store) -> Iterator[Entry]:
    for path in _children(store.root / "blobs" / "sha256"):
        with suppress(FileNotFoundError):
            used = store.last_use(Digest(path.name))
            yield Entry(kind=_content(path), path=path, size=_allocated(path), used=used)


def _content(path: Path) -> Kind:
    with path.open("rb") as stream:
        return "wheels" if stream.read(len(_ZIP)) == _ZIP else "layers"


def _unpacked(directory: Path, kind: Kind) -> Iterator[Entry]:
    for path in _children(directory):
        with suppress(FileNotFoundError):
            if path.is_dir():
                lock = trees.lock(path)
                yield _entry(_temporary(path) or kind, path, lock if lock.exists() else path)


def _entry(kind: Kind, path: Path, dated: Path) -> Entry:
    size = sum(map(_allocated, _files(path))) if path.is_dir() else _allocated(path)
    return Entry(kind=kind, path=path, size=size, used=dated.stat().st_mtime)


def _temporary(path: Path) -> Literal["unfinished"] | None:
    return "unfinished" if path.name.startswith(".") and path.name.endswith(_TEMPORARY) else None


def _allocated(path: Path) -> int:
    # A command that is at work takes its temporary files away meanwhile.
    try:
        return path.lstat().st_blocks * _BLOCK
    except FileNotFoundError:
        return 0


def _children(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _files(directory: Path) -> Iterator[Path]:
    for place, _, names in os.walk(directory):
        for name in names:
            yield Path(place, name)
