"""Finding a zip's central directory through the records at its end (APPNOTE 6.3.10, 4.3.14 to 4.3.16).

Rules kept here: one end record, at the very end; the central directory stands directly before it,
or before the zip64 records where there are any; one disk.
"""

import struct
from collections.abc import Iterator
from typing import Final, NoReturn

from envlock.oci.deflate import ReadAt
from envlock.runtime.errors import InputError

_END: Final = struct.Struct("<4s4H2LH")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64: Final = struct.Struct("<4sLQL")
_LONGEST_COMMENT: Final = 0xFFFF


def end_record(read: ReadAt, size: int, where: str) -> tuple[int, int, int]:
    """Return the central directory's offset, its length and its number of entries."""
    tail_start = max(0, size - _END.size - _LONGEST_COMMENT)
    tail = read(tail_start, size - tail_start)
    # A comment may hold the signature by accident; two that fit would let two readers disagree.
    fitting = [at for at in _positions(tail) if _end_fits(tail, at)]
    if len(fitting) != 1:
        found = f"{len(fitting)} (truncated, or data after the end?)"
        refuse(where, "one end of central directory record, at the end", found)
    position = tail_start + fitting[0]
    _, disk, disk_start, count_here, count, length, start, _ = _END.unpack_from(tail, fitting[0])
    located = read(max(0, position - _LOCATOR_64.size), _LOCATOR_64.size)
    if located[:4] == b"PK\x06\x07":
        start, length, count, position = _end_record_64(read, position - _LOCATOR_64.size, located, where)
    elif disk or disk_start or count_here != count:
        refuse(where, "an archive in one part", "several disks")
    if start + length != position:
        refuse(where, f"the central directory to end at {position}", f"{start + length}")
    return start, length, count


def _positions(tail: bytes) -> Iterator[int]:
    at = tail.find(b"PK\x05\x06")
    while at >= 0:
        yield at
        at = tail.find(b"PK\x05\x06", at + 1)


def _end_fits(tail: bytes, at: int) -> bool:
    if at + _END.size > len(tail):
        return False
    comment: int = _END.unpack_from(tail, at)[-1]
    return at + _END.size + comment == len(tail)


def _end_record_64(read: ReadAt, locator: int, located: bytes, where: str) -> tuple[int, int, int, int]:
    """Return offset, length and number as the zip64 record says, and the record's own place."""
    _, disk, position, disks = _LOCATOR_64.unpack(located)
    fields = _END_64.unpack(exactly(read, position, _END_64.size, where))
    signature, record_size, _, _, here, first, count_here, count, length, start = fields
    if signature != b"PK\x06\x06" or position + 12 + record_size != locator:
        refuse(where, "the zip64 end record directly before its locator", f"offset {position}")
    if disk or disks > 1 or here or first or count_here != count:
        refuse(where, "an archive in one part", "several disks")
    return start, length, count, position


def refuse(where: str, expected: str, found: str) -> NoReturn:
    """Raise the one error that every broken rule ends in."""
    raise InputError("not a usable zip archive", where=where, expected=expected, found=found)


def exactly(read: ReadAt, offset: int, length: int, where: str) -> bytes:
    """Return exactly that part of the archive, or refuse it as truncated."""
    data = read(offset, length)
    if len(data) != length:
        refuse(where, f"{length} bytes at offset {offset}", f"{len(data)} (truncated?)")
    return data
