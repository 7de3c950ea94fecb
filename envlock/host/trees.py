"""Unpacked trees in the store: each is made once, looked over at every use, and made anew if it changed.

Rules kept here (docs/adr/0023-cache.md):

* A tree appears by rename when it is whole. Its seal, a hash of the status of everything in it (inode,
  mode, size, times), lies in a file beside it: who changes, adds or removes a file changes the seal, since
  the time of change is the kernel's alone (:mod:`envlock.host.observation`).
* A tree without its seal, or with another, is made anew: nothing in it is repaired or believed.
* A lock file beside a tree lets the second of two users wait for the first one's making; its time of
  modification is the tree's last use. Who needs a tree for longer than the store's own lock is held has a
  lease on it, and as long as that lasts the tree is neither pruned nor replaced.
* A tree is renamed away before it is removed, so that a half-removed one is never found.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from envlock.host.files import atomic_directory, atomic_write, remove_tree
from envlock.host.locking import Lease, exclusive, exclusive_at_once
from envlock.host.store import Store
from envlock.runtime.errors import UnreachableError

Kind = Literal["rootfs", "interpreters"]


def place(store: Store, kind: Kind, name: str) -> Path:
    """Return where a tree lies, whether or not it is there."""
    return store.root / kind / name


def kept(place: Path, store: Store, make: Callable[[Path], None]) -> Path:
    """Return the tree at ``place``; ``make`` fills an empty directory with it where it must be made.

    Raises what ``make`` and writing raise, and UnreachableError when a tree that must be made anew has a
    job running in it.
    """
    if not is_whole(place):
        with exclusive(lock(place)):
            # Another process may have made it meanwhile.
            if not is_whole(place):
                _make(place, store, make)
    with suppress(OSError):
        os.utime(lock(place))
    return place


def is_whole(place: Path) -> bool:
    """Tell whether a tree is there, as it was when it was made."""
    try:
        return _seal_file(place).read_text() == _seal(place)
    except OSError:
        return False


def discard(place: Path, store: Store) -> bool:
    """Remove the tree at ``place``; False, and nothing done, when somebody has a lease on it."""
    with exclusive_at_once(_lease_file(place)) as held:
        if not held:
            return False
        away = store.root / "incoming" / f"{os.getpid()}-{place.name}"
        away.parent.mkdir(parents=True, exist_ok=True)
        os.replace(place, away)
    _seal_file(place).unlink(missing_ok=True)
    remove_tree(away)
    return True


def lease(place: Path) -> Lease | None:
    """Return a share in the tree at ``place``, which stays as long as the lease lasts.

    None where the store can't be written, and so not pruned either.
    """
    try:
        return Lease(_lease_file(place))
    except OSError:
        return None


def lock(place: Path) -> Path:
    """Return the file that is locked while the tree is made, and dated at every use."""
    return place.with_suffix(".lock")


def _make(place: Path, store: Store, make: Callable[[Path], None]) -> None:
    if place.exists() and not discard(place, store):
        raise UnreachableError(
            "an unpacked image was altered, and a job is running in it",
            where=str(place),
            hint="try again when the job has ended: the image is then unpacked anew",
        )
    with atomic_directory(place) as part:
        make(part)
    with atomic_write(_seal_file(place), durable=False) as stream:
        stream.write(_seal(place).encode())


def _lease_file(place: Path) -> Path:
    return place.with_suffix(".used")


def _seal_file(place: Path) -> Path:
    return place.with_suffix(".seal")


def _seal(root: Path) -> str:
    """Return a hash of the status of everything below ``root``, links not followed.

    Raises OSError where there is no such directory.
    """
    state, waiting = hashlib.sha256(), [str(root)]
    while waiting:
        directory = waiting.pop()
        lines: list[str] = []
        below: list[str] = []
        with os.scandir(directory) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                times = f"{found.st_mtime_ns} {found.st_ctime_ns}"
                lines.append(f"{entry.name}\0{found.st_ino} {found.st_mode} {found.st_size} {times}\n")
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
        # What the file system lists in any order must give one hash.
        text = "".join((directory.removeprefix(str(root)), "\n", *sorted(lines)))
        state.update(text.encode("utf-8", "surrogateescape"))
        waiting += sorted(below)
    return state.hexdigest()
