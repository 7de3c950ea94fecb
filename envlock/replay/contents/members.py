"""The members of a zip file as arrays of bytes; what is stored there is read when it is looked at."""

import struct
import zipfile
from pathlib import Path
from typing import Final

import numpy as np

from envlock.replay.contents.tensor import Array

# APPNOTE 4.3.7: how long a local header is without its name and extra field, whose lengths stand last in it.
_LOCAL_HEADER: Final = 30


def members(file: Path) -> dict[str, Array]:
    """Return each member's bytes (uint8) by name. Raises OSError, ValueError or zipfile.BadZipFile."""
    whole = mapped(file)
    with zipfile.ZipFile(file) as archive:
        return {one.filename: _content(one, whole, archive) for one in archive.infolist()}


def mapped(file: Path) -> Array:
    """Return the bytes of ``file`` (uint8), read when they are looked at. Raises OSError or ValueError."""
    return np.memmap(file, dtype=np.uint8, mode="r").view(np.ndarray)


def _content(member: zipfile.ZipInfo, whole: Array, archive: zipfile.ZipFile) -> Array:
    if member.compress_type != zipfile.ZIP_STORED:
        return np.frombuffer(archive.read(member), dtype=np.uint8)
    header = member.header_offset + _LOCAL_HEADER
    name, extra = struct.unpack("<HH", whole[header - 4 : header].tobytes())
    start = header + name + extra
    return whole[start : start + member.file_size]
