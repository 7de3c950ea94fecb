"""What the first pass over a wheel found, as bytes for the second, which so need not read it again.

Rules kept here:

* It goes from a process to its parent and on to another: flat rows, so that the parent keeps a few
  hundred bytes a file and no objects. It is never stored.
* It says where a file's bytes lie and what they must be; they are checked against that when they are
  read, as they are without it.
"""

import marshal
from collections.abc import Sequence

from envlock.image.install import InstalledFile
from envlock.image.record import RecordedHash
from envlock.image.wheel import WheelReader
from envlock.image.zip_archive import Member
from envlock.oci.path import ImagePath

Handover = tuple[tuple[Member, ...], tuple[InstalledFile, ...]]
"""The wheel's members that are copied, and everything that is installed, in its order."""


def packed(reader: WheelReader, installed: Sequence[InstalledFile]) -> bytes:
    """Return ``installed`` and the members of ``reader`` that it copies."""
    return marshal.dumps([_row(reader, file) for file in installed])


def unpacked(data: bytes) -> Handover:
    """Return what :func:`packed` was given."""
    members: list[Member] = []
    installed: list[InstalledFile] = []
    for path, mode, size, recorded, source, member in marshal.loads(data):  # noqa: S302 # our own process's
        if member is not None:
            members.append(Member(*member))
        installed.append(InstalledFile(ImagePath(path), mode, size, RecordedHash(*recorded), source))
    return tuple(members), tuple(installed)


def _row(reader: WheelReader, file: InstalledFile) -> tuple[object, ...]:
    member = tuple(reader.members[file.source]) if isinstance(file.source, str) else None
    return file.path.text, file.mode, file.size, tuple(file.recorded), file.source, member
