"""Which files name a home directory of the captured machine?

Inside an image there is no such directory, so what reads it there fails or finds something else; and it
says who built the files. What counts is the beginning of a path: ``/home/ann/x`` and a compiler's
``-I/home/ann/x``, not ``/home/anna`` and not ``/mnt/home/ann``, nor what follows a pattern's or an
expression's end (``block?/root``, ``${TOP}/root``), nor XML's ``</root>``. Texts and binaries are
searched alike.
"""

import re
from collections.abc import Sequence

_FIRST, _LAST = rb"(?:[^\w.?*)\]}~<]|-[ILR])", rb"[^\w.-]"
_LONGEST_FIRST = 2
# What stands before a file's first byte and after its last: no part of a path.
_BOUND = b"\n"


class HomeNames:
    """Takes files one after the other, each in pieces, and tells which of them name one of ``homes``."""

    def __init__(self, homes: Sequence[str]) -> None:
        """``homes`` are absolute paths; without one, nothing is searched."""
        names = [home.encode("utf-8", "surrogateescape") for home in homes]
        any_of = b"|".join(map(re.escape, names))
        self._pattern = re.compile(b"%s(?:%s)%s" % (_FIRST, any_of, _LAST)) if names else None
        self._kept = _LONGEST_FIRST + max(map(len, names), default=0)
        self._file, self._end = "", b""
        self._found: set[str] = set()

    def take(self, file: str, data: bytes) -> None:
        """Search the next piece of ``file``, or the first of another."""
        if file != self._file:
            self._search(_BOUND)
            self._file, self._end = file, _BOUND
        self._search(data)

    def files(self) -> tuple[str, ...]:
        """Return the files that name one, sorted. No more pieces are expected."""
        self._search(_BOUND)
        return tuple(sorted(self._found))

    def _search(self, data: bytes) -> None:
        if self._pattern is None or self._file in self._found:
            return
        text = self._end + data
        if self._pattern.search(text):
            self._found.add(self._file)
        self._end = text[-self._kept :]
