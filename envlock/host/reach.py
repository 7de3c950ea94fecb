"""All that an answer about a machine depends on, looked at as one (docs/adr/0025-remembered-lock.md).

Rules kept here:

* Of a tree every name counts, with the status of its file. Bytecode caches (``__pycache__``) are passed
  over, since interpreters write there without asking and no answer depends on them.
* A link counts as itself and as what it leads to. One to a directory is followed where that is a package,
  as imports follow it.
* What can't be looked into, and what is not there, counts as that.
* More names than LARGEST are no basis for anything: the answer is found anew each time.
"""

import hashlib
import marshal
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from envlock.host.observation import SETTLED_AFTER, Clock, Observation

LARGEST = 2_000_000
"""Names in all; to look at that many takes ten seconds."""

_CACHE = "__pycache__"
# Of marshal: the last that writes the same values as the same bytes, whoever else holds them. It takes a
# fifth of the time of text.
_FORMAT = 2
_status: Callable[[os.stat_result], tuple[int, ...]] = attrgetter(
    "st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Absolute paths, each once."""

    trees: tuple[str, ...] = ()
    """Directories with all that lies below them."""
    without: tuple[str, ...] = ()
    """Directories in trees that do not count."""
    listings: tuple[str, ...] = ()
    """Directories with what lies in them."""
    files: tuple[str, ...] = ()

    def observe(self, clock: Clock = time.time_ns, largest: int = LARGEST) -> Observation:
        """Look at all of it. Settled: nothing in it had changed for some seconds at ``clock``.

        So what is settled at the time before some work was the same all through the work.
        """
        look = _Look(largest)
        for path in self.files:
            look.file(path)
        for path in self.listings:
            look.directory(path)
        look.trees(self.trees, frozenset(self.without))
        return Observation(look.digest, look.left > 0 and look.newest + SETTLED_AFTER <= clock())


class _Look:
    """What was seen so far."""

    def __init__(self, largest: int) -> None:
        self._state = hashlib.sha256()
        self.left = largest
        """How many names may still be looked at."""
        self.newest = 0
        """When the last change was made, in nanoseconds since 1970."""

    @property
    def digest(self) -> str:
        return self._state.hexdigest()

    def trees(self, tops: tuple[str, ...], without: frozenset[str]) -> None:
        """See what lies below each of ``tops``."""
        waiting, seen = list(tops), {*tops, *without}
        while waiting and self.left > 0:
            inner, links = self.directory(waiting.pop())
            for link in links:
                real = os.path.realpath(link)
                if os.path.isfile(f"{real}/__init__.py"):
                    inner.append(real)
            # Not a set of all: only these can come a second time.
            waiting += [one for one in inner if one not in seen]
            seen.update(map(os.path.realpath, links))

    def directory(self, path: str) -> tuple[list[str], list[str]]:
        """See what lies in a directory; return those in it, and links to others."""
        try:
            # By its handle, the kernel need not find the directory anew for each of its files.
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                return self._listed(path, handle)
            finally:
                os.close(handle)
        except OSError as error:
            self._note(path, error.errno)
        return [], []

    def _listed(self, path: str, handle: int) -> tuple[list[str], list[str]]:
        inner: list[str] = []
        links: list[str] = []
        seen: list[tuple[object, ...]] = []
        own = os.fstat(handle)
        # Its times are of use only here: they change with every bytecode cache.
        newest = own.st_ctime_ns
        with os.scandir(handle) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    if name != _CACHE:
                        inner.append(f"{path}/{name}")
                        seen.append((name,))
                    continue
                told = _status(entry.stat(follow_symlinks=False))
                newest = max(newest, told[-1])
                seen.append(
                    (name, told, *self._link(f"{path}/{name}", links)) if entry.is_symlink() else (name, told)
                )
        self.newest = max(self.newest, newest)
        seen.sort()
        self._note(path, own.st_dev, own.st_ino, own.st_mode, own.st_uid, *seen)
        return inner, links

    def _link(self, path: str, links: list[str]) -> tuple[object, ...]:
        target, is_directory = self._target(path)
        if is_directory:
            links.append(path)
        return target

    def file(self, path: str) -> None:
        """See one file, and what it leads to where it is a link."""
        try:
            status = os.lstat(path)
            target = self._target(path)[0] if stat.S_ISLNK(status.st_mode) else ()
            # Of a directory only that it is there: what lies in it is for trees and listings.
            told = () if stat.S_ISDIR(status.st_mode) else self._told(status)
            self._note(path, "there", *told, *target)
        except (OSError, ValueError):  # ValueError: a NUL in the name
            # It may have been there a moment ago: then its directory has changed.
            self.newest = max(self.newest, _changed(os.path.dirname(path)))
            self._note(path)

    def _target(self, path: str) -> tuple[tuple[object, ...], bool]:
        """Return the status of what a link leads to, and whether that is a directory."""
        try:
            status = os.stat(path)
        except OSError as error:
            return (error.errno,), False
        if stat.S_ISDIR(status.st_mode):
            return (status.st_dev, status.st_ino), True
        return self._told(status), False

    def _told(self, status: os.stat_result) -> tuple[int, ...]:
        told = _status(status)
        self.newest = max(self.newest, told[-1])
        return told

    def _note(self, *seen: Any) -> None:
        self.left -= len(seen)
        self._state.update(marshal.dumps(seen, _FORMAT))


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_ctime_ns
    except (OSError, ValueError):
        return 0
