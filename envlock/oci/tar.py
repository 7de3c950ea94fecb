"""Tar headers as bytes: a pure function of name, kind, mode, size and time.

Written directly, because one ``tarfile.TarInfo`` a file costs several times what the rest of a layer
does. The form is POSIX ustar (IEEE 1003.1, "pax", ustar Interchange Format): owner 0:0, no names.
A PAX extended header stands before it only where ustar can't say it: a name that is not ASCII or
does not split into 155 + 100 bytes, a link target of more than 100 bytes, a size of 8 GiB or more.
"""

import struct
import zlib
from typing import Final, Literal

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
"""Two zero blocks: the end of an archive."""

Kind = Literal["file", "directory", "symlink"]

_FIELDS = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_FLAGS: dict[Kind, bytes] = {"file": b"0", "directory": b"5", "symlink": b"2"}
_ZERO_ID = b"0000000\0"
_MAGIC = b"ustar\x0000"
_NO_CHECKSUM = b" " * 8
_NAME, _PREFIX = 100, 155
_LARGEST_SIZE = 0o77777777777
_PAX_NAME = b"././@PaxHeader"


def header(
    name: str, *, kind: Kind = "file", mode: int, mtime: int, size: int = 0, target: str = ""
) -> bytes:
    """Return the header blocks of one member.

    ``name`` is relative, without a trailing slash; ``size`` in bytes, of a file; ``mtime`` in seconds;
    ``target`` of a symlink.
    """
    full = f"{name}/" if kind == "directory" else name
    extended: dict[str, str] = {}
    split = _split(full)
    if split is None:
        extended["path"] = full
        split = full.encode("ascii", "replace")[:_NAME], b""
    if not target.isascii() or len(target) > _NAME:
        extended["linkpath"] = target
    if size > _LARGEST_SIZE:
        extended["size"] = str(size)
        size = 0
    link = target.encode("ascii", "replace")[:_NAME]
    block = _ustar(split, flag=_FLAGS[kind], mode=mode, size=size, mtime=mtime, link=link)
    return _pax(extended) + block if extended else block


def padding(size: int) -> bytes:
    """Return the zeros that fill ``size`` bytes up to a whole block."""
    return bytes(-size % BLOCK)


def _split(name: str) -> tuple[bytes, bytes] | None:
    """Return (name, prefix) as ustar holds them, or None when it can't."""
    if not name.isascii():
        return None
    data = name.encode("ascii")
    if len(data) <= _NAME:
        return data, b""
    # The first slash after which the rest fits, where tarfile splits too.
    cut = data.find(b"/", len(data) - _NAME - 1)
    if not 0 < cut <= _PREFIX or cut == len(data) - 1:
        return None
    return data[cut + 1 :], data[:cut]


def _ustar(
    split: tuple[bytes, bytes], *, flag: bytes, mode: int, size: int, mtime: int, link: bytes
) -> bytes:
    before = split[0], b"%07o\0" % mode, _ZERO_ID, _ZERO_ID, b"%011o\0" % size, b"%011o\0" % mtime
    after = flag, link, _MAGIC, b"", b"", b"", b"", split[1]
    # The sum of a block whose checksum is spaces; the zeros between the fields add nothing. Adler-32's lower
    # half is one more, modulo 65,521 (RFC 1950): above what 512 bytes of ASCII can add up to.
    checksum = (zlib.adler32(b"".join((*before, _NO_CHECKSUM, *after))) & 0xFFFF) - 1
    return _FIELDS.pack(*before, b"%06o\0 " % checksum, *after)


def _pax(records: dict[str, str]) -> bytes:
    data = b"".join(_record(key, records[key]) for key in sorted(records))
    block = _ustar((_PAX_NAME, b""), flag=b"x", mode=0, size=len(data), mtime=0, link=b"")
    return block + data + padding(len(data))


def _record(key: str, value: str) -> bytes:
    """Return ``<length> key=value`` and a newline; the length counts its own digits too."""
    body = f" {key}={value}\n".encode()
    length = len(body)
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return b"%d%b" % (length, body)
