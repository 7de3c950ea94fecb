"""Reading a zip's directory without trusting it.

Source of the format: PKWARE APPNOTE 6.3.10. Rules kept here:

* One end record, at the very end; the central directory stands directly before it (before the zip64
  records where there are any). One disk.
* Each central entry agrees with its local header in name, flags, method, CRC-32 and sizes; where the
  local header leaves them to a data descriptor (flag bit 3), the descriptor agrees. No two members
  overlap.
* Methods 0 (stored) and 8 (deflate) only; nothing encrypted or patched. No member declares more
  than deflate can hold, and the whole no more than 250 times the archive (or 1 GiB).
* Names are relative, normalised, free of control characters and backslashes; none twice, none both
  file and directory, no two that differ in case alone. Regular files and directories only, and no file
  that would run as its owner or group.

What breaks a rule raises InputError that names the archive and the entry.
"""

import stat
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from envlock.image.zip_end import end_record, exactly, refuse
from envlock.oci.deflate import ReadAt
from envlock.oci.path import lacking
from envlock.runtime.errors import InputError

STORED: Final = 0
DEFLATED: Final = 8

# A directory's entry and a local header have 24 bytes in common, after the signature and, in the directory,
# who made it: version, flags, method, time, CRC-32, sizes, the name's length.
_CENTRAL = struct.Struct("<4s2x24s3H2x2L")
_LOCAL = struct.Struct("<4s24sH")
_COMMON = struct.Struct("<2x2H4x3LH")
_LENGTHS = struct.Struct("<28x3H")

_BIT_DESCRIPTOR = 1 << 3
_BIT_UTF8 = 1 << 11
_BITS_REFUSED = 1 << 0 | 1 << 5 | 1 << 6 | 1 << 13  # encrypted, patched, strongly encrypted, masked
_BITS_COMPRESSION = 0b110  # how hard the compressor tried: means nothing to a reader

_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF
_ELSEWHERE = b"\xff" * 4  # in place of a size that stands in a zip64 field
_DIRECTORY, _FILE = (0, stat.S_IFDIR), (0, stat.S_IFREG)
_SET_ID = stat.S_ISUID | stat.S_ISGID
_EXTRA_ZIP64, _EXTRA_UNICODE_PATH = 0x0001, 0x7075
# Deflate's best is 1032 to 1 (RFC 1951: 258 bytes from 2 bits).
_MEMBER_RATIO, _ARCHIVE_RATIO, _ALWAYS_FINE = 1032, 250, 1 << 30


class Member(NamedTuple):
    """A file in the archive: its raw data are ``compressed_size`` bytes at ``offset``.

    A tuple, as is whatever a build makes for each of 50,000 files: made in a third of a dataclass's time.
    """

    name: str
    method: int
    crc: int
    compressed_size: int
    size: int
    offset: int
    executable: bool


class _Central(NamedTuple):
    """A central directory entry. ``common`` is what its local header repeats, as it stands."""

    common: bytes
    raw_name: bytes
    name: str
    flags: int
    method: int
    crc: int
    compressed_size: int
    size: int
    mode: int
    header: int


def read_members(read: ReadAt, size: int, where: str) -> tuple[Member, ...]:
    """Return the archive's files in the order of its directory. ``size`` is the archive's, in bytes.

    ``where`` names the archive in errors. Directory entries are checked and left out.
    """
    start, length, count = end_record(read, size, where)
    directory = exactly(read, start, length, where)
    entries = tuple(_central_entries(directory, count, where))
    _check_names(entries, where)
    _check_ratio(entries, size, where)
    members = [_member(read, entry, start, where) for entry in entries]
    _check_overlap(entries, members, where)
    return tuple(member for member in members if not member.name.endswith("/"))


def claimed_names(read: ReadAt, size: int) -> Iterator[str]:
    """Yield the files' names, of which nothing is checked: for a guess of what the archive holds.

    What is no zip archive has fewer names, or none.
    """
    try:
        start, length, _ = end_record(read, size, "")
    except InputError:
        return
    directory, position = read(start, length), 0
    while position + _CENTRAL.size <= len(directory):
        lengths = _LENGTHS.unpack_from(directory, position)
        position += _CENTRAL.size
        name = directory[position : position + lengths[0]]
        position += sum(lengths)
        if not name.endswith(b"/"):
            yield name.decode("utf-8", "replace")


def _central_entries(directory: bytes, count: int, where: str) -> Iterator[_Central]:
    position = seen = 0
    while position < len(directory):
        if position + _CENTRAL.size > len(directory) or directory[position : position + 4] != b"PK\x01\x02":
            refuse(where, "a central directory entry", f"something else at byte {position} of it")
        fields = _CENTRAL.unpack_from(directory, position)
        _, common, extra_length, comment_length, disk, attributes, header = fields
        flags, method, crc, compressed, size, name_length = _COMMON.unpack(common)
        position += _CENTRAL.size
        raw_name = directory[position : position + name_length]
        position += name_length
        extra = directory[position : position + extra_length]
        position += extra_length + comment_length
        if position > len(directory):
            refuse(where, "a whole central directory entry", "one that runs over its end")
        name = _decoded(raw_name, flags, where)
        if extra or _ELSEWHERE in common or header == _MAX_32:
            size, compressed, header = _zip64_sizes(extra, size, compressed, header, f"{where}: {name}")
        if disk not in (0, _MAX_16):
            refuse(f"{where}: {name}", "an archive in one part", f"disk {disk}")
        mode = attributes >> 16
        # By position, as wherever there are 50,000: by name it takes twice as long.
        entry = _Central(common, raw_name, name, flags, method, crc, compressed, size, mode, header)
        fault = _fault(entry)
        if fault is not None:
            refuse(f"{where}: {name}", *fault)
        seen += 1
        yield entry
    if seen != count:
        refuse(where, f"{count} entries", f"{seen}")


def _decoded(raw: bytes, flags: int, where: str) -> str:
    try:
        # APPNOTE appendix D: without bit 11 a name is IBM code page 437.
        return raw.decode("utf-8" if flags & _BIT_UTF8 else "cp437")
    except UnicodeDecodeError:
        refuse(where, "names in UTF-8", repr(raw))


def _zip64_sizes(extra: bytes, size: int, compressed: int, header: int, there: str) -> tuple[int, int, int]:
    """Return size, compressed size and header offset with the zip64 extra field (4.5.3) applied."""
    fields = dict(_extra_fields(extra, there))
    if _EXTRA_UNICODE_PATH in fields:
        refuse(there, "one name", "a second one in a Unicode path extra field")
    wanted = [size, compressed, header]
    data = fields.get(_EXTRA_ZIP64, b"")
    position = 0
    for index, value in enumerate(wanted):
        if value == _MAX_32:
            if position + 8 > len(data):
                refuse(there, "a zip64 field for each size that needs one", f"{len(data)} bytes")
            (wanted[index],) = struct.unpack_from("<Q", data, position)
            position += 8
    return wanted[0], wanted[1], wanted[2]


def _extra_fields(extra: bytes, there: str) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        position += 4
        if position + length > len(extra):
            refuse(there, "whole extra fields", "one that runs over their end")
        yield kind, extra[position : position + length]
        position += length


def _fault(entry: _Central) -> tuple[str, str] | None:  # noqa: PLR0911 # one for each rule
    """Return what was expected of an entry and what it is instead; None for a right one."""
    flags, method, mode = entry.flags, entry.method, entry.mode
    if flags & _BITS_REFUSED:
        return "no encryption and no patch data", f"flags {flags:#06x}"
    if method not in (STORED, DEFLATED):
        return "method 0 (stored) or 8 (deflate)", f"method {method}"
    if method == STORED and entry.size != entry.compressed_size:
        return f"{entry.size} stored bytes", f"{entry.compressed_size}"
    directory = entry.name.endswith("/")
    if stat.S_IFMT(mode) not in (_DIRECTORY if directory else _FILE):
        return "a regular file or directory", f"a link or special file (mode {mode:o})"
    # A directory's setgid bit only says how its maker shared it, and no directory entry is installed.
    if not directory and mode & _SET_ID:
        return "a file without setuid and setgid", f"mode {mode:o}"
    if directory and entry.size:
        return "an empty directory entry", f"{entry.size} bytes"
    return None


def _check_names(entries: tuple[_Central, ...], where: str) -> None:
    files: set[str] = set()
    for entry in entries:
        name = entry.name.removesuffix("/")
        if "\\" in name or lacking("/" + name):  # a backslash separates to some who unpack it
            expected = "a relative name without '..' or '.wh.', of parts of at most 255 bytes"
            refuse(f"{where}: {entry.name!r}", expected, "one that could escape, hide others or not be made")
        if entry.name in files:
            refuse(f"{where}: {entry.name}", "one entry a name", "two")
        files.add(entry.name)
    parents: set[str] = set()
    for name in files:
        _add_parents(parents, name)
    for name in sorted(files & parents):
        refuse(f"{where}: {name}", "a file or a directory", "both")
    _check_case(files | parents, where)


def _check_case(names: set[str], where: str) -> None:
    """Refuse what a file system that ignores case would make one file of."""
    seen: dict[str, str] = {}
    for name in sorted(one.removesuffix("/") for one in names):
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            refuse(f"{where}: {name}", "names that differ in more than case", other)


def _add_parents(parents: set[str], name: str) -> None:
    """Add the directories above ``name``, up to the first one that is there."""
    cut = name.removesuffix("/").rfind("/")
    while cut > 0 and name[:cut] not in parents:
        parents.add(name[:cut])
        cut = name.rfind("/", 0, cut)


def _check_ratio(entries: tuple[_Central, ...], archive: int, where: str) -> None:
    for entry in entries:
        if entry.size > _MEMBER_RATIO * entry.compressed_size:
            found = f"{entry.size} bytes from {entry.compressed_size}"
            refuse(f"{where}: {entry.name}", "a size that deflate can hold", found)
    total = sum(entry.size for entry in entries)
    if total > max(_ALWAYS_FINE, _ARCHIVE_RATIO * archive):
        refuse(where, f"at most {_ARCHIVE_RATIO} times its {archive} bytes", f"{total} bytes inflated")


def _member(read: ReadAt, entry: _Central, directory_start: int, where: str) -> Member:
    """Compare ``entry`` with its local header and return the member."""
    common, raw_name, name, flags, method, crc, compressed, size, mode, header = entry
    length = _LOCAL.size + len(raw_name)
    head = exactly(read, header, length, f"{where}: {name}")
    signature, again, extra_length = _LOCAL.unpack_from(head)
    if signature != b"PK\x03\x04" or head[_LOCAL.size :] != raw_name:
        refuse(f"{where}: {name}", "a local header of the same name", "another")
    offset = header + length + extra_length
    if offset + compressed > directory_start:
        refuse(f"{where}: {name}", "data before the central directory", "data that runs into it")
    if again != common or flags & _BIT_DESCRIPTOR or _ELSEWHERE in common:
        _compare(read, entry, again, offset, extra_length, f"{where}: {name}")
    return Member(name, method, crc, compressed, size, offset, bool(mode & 0o111))


def _compare(
    read: ReadAt, entry: _Central, common: bytes, offset: int, extra_length: int, there: str
) -> None:
    """Compare what a local header, whose data begins at ``offset``, says in another form than ``entry``."""
    flags, method, crc, compressed, size, name_length = _COMMON.unpack(common)
    if name_length != len(entry.raw_name):
        refuse(there, "a local header of the same name", "another")
    if (flags ^ entry.flags) & ~_BITS_COMPRESSION or method != entry.method:
        refuse(there, "the same flags and method in the local header", "others")
    if _MAX_32 in (compressed, size):
        extra = exactly(read, offset - extra_length, extra_length, there)
        size, compressed, _ = _zip64_sizes(extra, size, compressed, 0, there)
    declared = (entry.crc, entry.compressed_size, entry.size)
    deferred = flags & _BIT_DESCRIPTOR and (crc, compressed, size) == (0, 0, 0)
    if not deferred and (crc, compressed, size) != declared:
        refuse(there, "the same CRC-32 and sizes in the local header", "others")
    if flags & _BIT_DESCRIPTOR:
        _check_descriptor(read, offset + entry.compressed_size, declared, there)


def _check_descriptor(read: ReadAt, offset: int, declared: tuple[int, int, int], there: str) -> None:
    """Accept the four forms that writers use: with or without signature, sizes of 4 or 8 bytes."""
    found = read(offset, 24)
    for form in ("<L2Q", "<L2L"):
        try:
            plain = struct.pack(form, *declared)
        except struct.error:  # a size that 4 bytes can't hold
            continue
        if found.startswith((plain, b"PK\x07\x08" + plain)):
            return
    refuse(there, "a data descriptor that agrees with the directory", found.hex())


def _check_overlap(entries: tuple[_Central, ...], members: list[Member], where: str) -> None:
    end = 0
    for entry, member in sorted(zip(entries, members, strict=True), key=lambda pair: pair[0].header):
        if entry.header < end:
            refuse(f"{where}: {entry.name}", "data of its own", "data shared with another entry")
        end = member.offset + member.compressed_size
