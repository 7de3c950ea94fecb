"""Which files name a home directory of the captured machine?

Inside an image there is no such directory, so what reads it there fails or finds something else; and it
says who built the files. What counts is the beginning of a path: ``/home/ann/x`` and a compiler's
``-I/home/ann/x``, not ``/home/anna`` and not ``/mnt/home/ann``. Texts and binaries are searched alike.
"""

import re
from collections.abc import Sequence

_FIRST, _LAST = rb"(?:[^\w.]|-[ILR])", rb"[^\w.-]"
_LONGEST_FIRST = 2
# What stands before a file's first byte and after its last: no part of a path.
_BOUND = b"\n"


class HomeNames:
    """Takes the pieces of files, each file's in order, and tells which files name one of ``homes``."""

    def __init__(self, homes: Sequence[str]) -> None:
        """``homes`` are absolute paths; without one, nothing is searched."""
        names = [home.encode("utf-8", "surrogateescape") for home in homes]
        any_of = b"|".join(map(re.escape, names))
        self._pattern = re.compile(b"%s(?:%s)%s" % (_FIRST, any_of, _LAST)) if names else None
        self._kept = _LONGEST_FIRST + max(map(len, names), default=0)
        self._ends: dict[str, bytes] = {}
        self._found: set[str] = set()

    def take(self, file: str, data: bytes) -> None:
        """Search the next piece of ``file``."""
        if self._pattern is None or file in self._found:
            return
        text = self._ends.pop(file, _BOUND) + data
        if self._pattern.search(text):
            self._found.add(file)
        else:
            self._ends[file] = text[-self._kept :]

    def files(self) -> tuple[str, ...]:
        """Return the files that name one, sorted. No more pieces are expected."""
        if self._pattern is not None:
            for file, end in self._ends.items():
                if self._pattern.search(end + _BOUND):
                    self._found.add(file)
        return tuple(sorted(self._found))
