"""What the dynamic loader reads of an ELF file: NEEDED, SONAME, RPATH, RUNPATH, class and machine.

Only program headers are used, as ld.so does (System V gABI, chapter 5, "Dynamic Section"), so a file
stripped of its section headers reads the same. A file that is no ELF, is truncated or points outside
itself is None, never an error: site-packages holds such files as test data.
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from envlock.host.files import without_waiting

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 14, 15, 29
_MAGIC = b"\x7fELF"
_CLASS_64, _LITTLE_ENDIAN = 2, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """A shared object or program. ``machine`` is e_machine (62: x86-64), ``bits`` 32 or 64."""

    bits: int
    machine: int
    needed: tuple[str, ...] = ()
    soname: str | None = None
    rpath: tuple[str, ...] = ()
    """DT_RPATH split at colons, ``$ORIGIN`` not yet replaced; ld.so ignores it beside a RUNPATH."""
    runpath: tuple[str, ...] = ()
    interpreter: str | None = None
    """PT_INTERP of a program: the dynamic loader's path."""


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def read(path: Path) -> Elf | None:
    """Read ``path``, or return None when it is no readable ELF file."""
    try:
        # A pipe among the files must not be waited for.
        with open(path, "rb", opener=without_waiting) as stream:
            # Most files are not ELF: four bytes decide before anything is mapped.
            if stream.read(4) != _MAGIC:
                return None
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return parse(data)
    except (OSError, ValueError):
        return None


def parse(data: bytes | mmap.mmap) -> Elf | None:
    """Read the bytes of a file, or return None when they are no ELF file or a broken one."""
    try:
        return _parse(data)
    except (struct.error, ValueError, IndexError, OverflowError):
        return None


def _parse(data: bytes | mmap.mmap) -> Elf | None:
    if data[:4] != _MAGIC or data[4] not in (1, 2) or data[5] not in (1, 2):
        return None
    wide, order = data[4] == _CLASS_64, "<" if data[5] == _LITTLE_ENDIAN else ">"
    machine = struct.unpack_from(order + "H", data, 18)[0]
    segments = _segments(data, order, wide=wide)
    dynamic = [entry for segment in segments for entry in _dynamic(data, segment, order, wide=wide)]
    table = next((value for tag, value in dynamic if tag == _DT_STRTAB), None)
    strings = None if table is None else _file_offset(segments, table)
    named: dict[int, list[str]] = {}
    if strings is not None:
        for tag, value in dynamic:
            if tag in (_DT_NEEDED, _DT_SONAME, _DT_RPATH, _DT_RUNPATH):
                named.setdefault(tag, []).append(_string(data, strings + value))
    return Elf(
        bits=64 if wide else 32,
        machine=machine,
        needed=tuple(named.get(_DT_NEEDED, ())),
        soname=next(iter(named.get(_DT_SONAME, ())), None),
        rpath=_directories(named.get(_DT_RPATH)),
        runpath=_directories(named.get(_DT_RUNPATH)),
        interpreter=next((_string(data, s.offset) for s in segments if s.kind == _PT_INTERP), None),
    )


def _segments(data: bytes | mmap.mmap, order: str, *, wide: bool) -> list[_Segment]:
    table = struct.unpack_from(order + ("Q" if wide else "I"), data, 32 if wide else 28)[0]
    size, count = struct.unpack_from(order + "HH", data, 54 if wide else 42)
    found = []
    for index in range(count):
        at = table + index * size
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from(order + "IIQQQQ", data, at)
        else:
            kind, offset, address, _, length = struct.unpack_from(order + "IIIII", data, at)
        found.append(_Segment(kind, offset, address, length))
    return found


def _dynamic(data: bytes | mmap.mmap, segment: _Segment, order: str, *, wide: bool) -> list[tuple[int, int]]:
    if segment.kind != _PT_DYNAMIC:
        return []
    entries = []
    shape = struct.Struct(order + ("qQ" if wide else "iI"))
    for at in range(segment.offset, segment.offset + segment.size, shape.size):
        tag, value = shape.unpack_from(data, at)
        if tag == _DT_NULL:
            break
        entries.append((tag, value))
    return entries


def _file_offset(segments: list[_Segment], address: int) -> int | None:
    """Return where in the file the bytes lie that are loaded at ``address``."""
    for segment in segments:
        if segment.kind == _PT_LOAD and segment.address <= address < segment.address + segment.size:
            return address - segment.address + segment.offset
    return None


def _string(data: bytes | mmap.mmap, at: int) -> str:
    end = data.find(b"\0", at)
    if not 0 <= at < end:
        raise ValueError("string outside the file")
    return data[at:end].decode("utf-8", "surrogateescape")


def _directories(values: list[str] | None) -> tuple[str, ...]:
    return tuple(part for value in values or () for part in value.split(":") if part)
