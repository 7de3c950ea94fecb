"""What the file system says of directories and files, gathered into one digest.

Standard library only, little of it, and a program of its own too: a second process looks at half of a
large reach (:mod:`envlock.host.reach`). Standard input: a request, its length in four bytes (little endian)
before it: marshal's bytes of the directories, of those that were seen, and of how many names may be looked
at. Standard output: the answer, in the same way, which is :func:`below`'s.
"""

import hashlib
import marshal
import os
import signal
import stat
import struct
import sys
from collections import deque
from collections.abc import Callable
from math import inf
from operator import attrgetter
from typing import Any

_CACHE = "__pycache__"
# Of marshal: the last that writes the same values as the same bytes, whoever else holds them. It takes a
# fifth of the time of text.
_FORMAT = 2
_LENGTH = struct.Struct("<I")
_status: Callable[[os.stat_result], tuple[int, ...]] = attrgetter(
    "st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns"
)

Seen = tuple[str, int, int]
"""A digest, the time of the newest change in nanoseconds since 1970, and how many names may still be seen."""


def below(directories: list[str], seen: list[str], largest: int) -> Seen:
    """Look at all that lies below ``directories`` but what was ``seen``, ``largest`` names at most."""
    look = Look(largest)
    look.trees(directories, set(seen))
    return look.digest, look.newest, look.left


def request(directories: list[str], seen: set[str], largest: int) -> bytes:
    """Return what :func:`main` takes."""
    return marshal.dumps((directories, sorted(seen), largest), _FORMAT)


def answer(data: bytes) -> Seen:
    """Return what :func:`main` answered."""
    found: Seen = marshal.loads(data)  # noqa: S302 # our own process's
    return found


def main() -> None:
    """Answer one request."""
    # Ctrl-C reaches everyone at the terminal: the end of the input follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = sys.stdin.buffer
    length = asked.read(_LENGTH.size)
    if length:
        data = asked.read(*_LENGTH.unpack(length))
        found = marshal.dumps(below(*marshal.loads(data)), _FORMAT)  # noqa: S302 # our own process's
        sys.stdout.buffer.write(_LENGTH.pack(len(found)) + found)


class Look:
    """What was seen so far."""

    def __init__(self, largest: int) -> None:
        self._state = hashlib.sha256()
        self.left = largest
        """How many names may still be looked at."""
        self.newest = 0
        """When the last change was made, in nanoseconds since 1970."""

    @property
    def digest(self) -> str:
        """Of everything that was seen, in the order in which it was."""
        return self._state.hexdigest()

    def trees(self, waiting: list[str], seen: set[str], enough: float = inf) -> list[str]:
        """See what lies below each of ``waiting``, until ``enough`` are still to be seen: return those.

        ``seen``: what is not seen again, to which all that comes twice is added.
        """
        queue = deque(waiting)
        while queue and len(queue) < enough and self.left > 0:
            inner, links = self.directory(queue.popleft())
            for link in links:
                real = os.path.realpath(link)
                if os.path.isfile(f"{real}/__init__.py"):
                    inner.append(real)
            # Not a set of all: only these can come a second time.
            queue.extend(one for one in inner if one not in seen)
            seen.update(map(os.path.realpath, links))
        return list(queue)

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


if __name__ == "__main__":
    main()
