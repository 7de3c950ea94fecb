"""Moving an interpreter's files to another prefix, byte by byte, without running any tool.

Rules kept here:

* Text (no NUL byte) is rewritten; other paths below the same home directory are masked.
* In binaries nothing changes its place: the new prefix is padded to the old one's length with
  slashes, which the kernel, ld.so and Python read as one. Padding with NULs, as conda does, is not
  safe: linkers let strings share tails (the bytes of CPython's ``"3.11.7"`` are the end of its
  compiled-in prefix ``…/versions/3.11.7``), and a shifted tail would change ``sys.version``.
* So where the old prefix ends a string, its last component stays where it was
  (``/opt/python//////3.11.7``), and :func:`alias` names the link that makes this path valid.
* What still names the old prefix or the home afterwards is returned as a finding, never hidden.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

_HOME = re.compile(r"^(/root|/home/[^/]+|/Users/[^/]+)(?=/|$)")
_MASK = b"/nonexistent"
_WORD_FOLLOWS = rb"(?![A-Za-z0-9_])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """From one prefix to another; both absolute, without a trailing slash."""

    old: str
    new: str

    @property
    def home(self) -> str | None:
        """The home directory that the old prefix lies in, or None."""
        found = _HOME.match(self.old)
        return found.group(1) if found else None

    @property
    def last(self) -> str:
        """The old prefix's last component."""
        return PurePosixPath(self.old).name


def alias(move: Move) -> tuple[str, str] | None:
    """Return (path, target) of the link that keeps compiled-in prefixes valid; None where none is needed."""
    return None if move.old == move.new or not _keeps_tail(move) else (f"{move.new}/{move.last}", ".")


def relocate(data: bytes, move: Move) -> bytes:
    """Return the file's bytes for the new prefix. A binary keeps its length."""
    old, new = move.old.encode(), move.new.encode()
    if move.old == move.new:
        return data
    if b"\0" in data:
        return _binary(data, move) if old in data and len(new) <= len(old) else data
    if old in data:
        data = re.sub(re.escape(old) + _WORD_FOLLOWS, new, data)
    return _home_pattern(move).sub(_MASK, data) if move.home else data


def remains(data: bytes, move: Move) -> bool:
    """Does the file still name the old prefix or its home directory?"""
    if move.old == move.new:
        return False
    return move.old.encode() in data or bool(move.home and _home_pattern(move).search(data))


def _binary(data: bytes, move: Move) -> bytes:
    old, new = move.old.encode(), move.new.encode()
    padded = new + b"/" * (len(old) - len(new))
    if _keeps_tail(move):
        last = move.last.encode()
        ending = new + b"/" * (len(old) - len(new) - len(last)) + last
        data = data.replace(old + b"\0", ending + b"\0")
    return re.sub(re.escape(old) + _WORD_FOLLOWS, padded, data)


def _keeps_tail(move: Move) -> bool:
    return len(move.new) + 1 + len(move.last) <= len(move.old)


def _home_pattern(move: Move) -> re.Pattern[bytes]:
    home = (move.home or "").encode()
    # ``/root`` alone is a common word in texts; below it, or another home, is somebody's directory.
    return re.compile(re.escape(home) + (rb"(?=/)" if home == b"/root" else _WORD_FOLLOWS))
