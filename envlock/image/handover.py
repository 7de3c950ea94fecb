"""What the first pass over a wheel found, as one string for the second, which so need not read it again.

Rules kept here:

* It goes from a process to its parent and on to another: flat rows, so that the parent keeps a few
  hundred bytes a file and no objects. It is never stored.
* It says where a file's bytes lie and what they must be; they are checked against that when they are
  read, as they are without it.
"""

import json
from collections.abc import Sequence

from envlock.image.install import InstalledFile
from envlock.image.record import RecordedHash
from envlock.image.wheel import WheelReader
from envlock.image.zip_archive import Member
from envlock.oci.path import ImagePath

Handover = tuple[tuple[Member, ...], tuple[InstalledFile, ...]]
"""The wheel's members that are copied, and everything that is installed, in its order."""


def packed(reader: WheelReader, installed: Sequence[InstalledFile]) -> str:
    """Return ``installed`` and the members of ``reader`` that it copies."""
    return json.dumps([_row(reader, file) for file in installed], separators=(",", ":"))


def unpacked(text: str) -> Handover:
    """Return what :func:`packed` was given."""
    members: list[Member] = []
    installed: list[InstalledFile] = []
    for path, mode, size, algorithm, value, source, place in json.loads(text):
        if place is not None:
            method, crc, compressed_size, offset, executable = place
            members.append(
                Member(
                    name=source,
                    method=method,
                    crc=crc,
                    compressed_size=compressed_size,
                    size=size,
                    offset=offset,
                    executable=executable,
                )
            )
        installed.append(
            InstalledFile(
                path=ImagePath(path),
                mode=mode,
                size=size,
                recorded=RecordedHash(algorithm=algorithm, value=value),
                source=source.encode("latin-1") if place is None else source,
            )
        )
    return tuple(members), tuple(installed)


def _row(reader: WheelReader, file: InstalledFile) -> tuple[object, ...]:
    head = file.path.text, file.mode, file.size, file.recorded.algorithm, file.recorded.value
    if isinstance(file.source, bytes):
        return *head, file.source.decode("latin-1"), None
    member = reader.members[file.source]
    place = member.method, member.crc, member.compressed_size, member.offset, member.executable
    return *head, file.source, place
