"""What the file system says of directories and files, gathered into one digest."""

import hashlib
import marshal
import os
import stat
import time
from typing import Any

from envlock.host.observation import SETTLED_AFTER, Clock, Observation
from envlock.host.statuses import FORMAT, status

_CACHE = "__pycache__"


class Look:
    """What was seen so far."""

    def __init__(self, largest: int) -> None:
        self._state = hashlib.sha256()
        self.left = largest
        """How many names may still be looked at."""
        self.newest = 0
        """When the last change was made, in nanoseconds since 1970."""
        self.listed: dict[str, list[str]] = {}
        """Directories, each with the names of what is found there."""
        self.others: list[str] = []
        """What leads elsewhere, or is not there."""

    def observation(self, clock: Clock = time.time_ns) -> Observation:
        """Return what was seen. Settled: all of it, and nothing had changed for some seconds at ``clock``.

        So what is settled at the time before some work was the same all through the work.
        """
        return Observation(self.digest, self.left > 0 and self.newest + SETTLED_AFTER <= clock())

    @property
    def digest(self) -> str:
        """Of everything that was seen, in the order in which it was."""
        return self._state.hexdigest()

    def trees(self, tops: tuple[str, ...], without: tuple[str, ...]) -> None:
        """See what lies below each of ``tops``, but not ``without``."""
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
            if os.path.exists(path):
                self._list(path, ".")
            else:
                self.others.append(path)
        return [], []

    def _listed(self, path: str, handle: int) -> tuple[list[str], list[str]]:
        inner: list[str] = []
        links: list[str] = []
        seen: list[tuple[object, ...]] = []
        names = ["."]
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
                told = status(entry.stat(follow_symlinks=False))
                newest = max(newest, told[-1])
                if entry.is_symlink():
                    seen.append((name, told, *self._link(f"{path}/{name}", links)))
                else:
                    seen.append((name, told))
                    names.append(name)
        self._list(path, *names)
        self.newest = max(self.newest, newest)
        seen.sort()
        self._note(path, own.st_dev, own.st_ino, own.st_mode, own.st_uid, *seen)
        return inner, links

    def _link(self, path: str, links: list[str]) -> tuple[object, ...]:
        self.others.append(path)
        target, is_directory = self._target(path)
        if is_directory:
            links.append(path)
            # A name that it gets may make a package of it, which is then followed.
            self._list(path, ".")
        return target

    def file(self, path: str) -> None:
        """See one file, and what it leads to where it is a link."""
        try:
            found = os.lstat(path)
        except (OSError, ValueError):  # ValueError: a NUL in the name
            # It may have been there a moment ago: then its directory has changed.
            self.newest = max(self.newest, _changed(os.path.dirname(path)))
            self.others.append(path)
            self._note(path)
            return
        # Of a directory only that it is there: what lies in it is for trees and listings.
        told = () if stat.S_ISDIR(found.st_mode) else self._told(found)
        target = self._target(path)[0] if stat.S_ISLNK(found.st_mode) else ()
        if stat.S_ISREG(found.st_mode):
            self._list(*os.path.split(path))
        else:
            self.others.append(path)
        self._note(path, "there", *told, *target)

    def _target(self, path: str) -> tuple[tuple[object, ...], bool]:
        """Return the status of what a link leads to, and whether that is a directory."""
        try:
            found = os.stat(path)
        except OSError as error:
            return (error.errno,), False
        if stat.S_ISDIR(found.st_mode):
            return (found.st_dev, found.st_ino), True
        return self._told(found), False

    def _told(self, found: os.stat_result) -> tuple[int, ...]:
        told = status(found)
        self.newest = max(self.newest, told[-1])
        return told

    def _list(self, directory: str, *names: str) -> None:
        self.listed.setdefault(directory, []).extend(names)

    def _note(self, *seen: Any) -> None:
        self.left -= len(seen)
        self._state.update(marshal.dumps(seen, FORMAT))


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_ctime_ns
    except (OSError, ValueError):
        return 0
