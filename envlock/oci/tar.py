"""Tar headers as bytes: a pure function of name, kind, mode, size and time.

Written directly, because one ``tarfile.TarInfo`` a file costs several times what the rest of a layer
does. The form is POSIX ustar (IEEE 1003.1, "pax", ustar Interchange Format): owner 0:0, no names.
A PAX extended header stands before it only where ustar can't say it: a name that is not ASCII or
does not split into 155 + 100 bytes, a link target of more than 100 bytes, a size of 8 GiB or more.
"""

import zlib
from typing import Final, Literal

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
"""Two zero blocks: the end of an archive."""

LARGEST_SIZE: Final = 0o77777777777
"""What a header's field of a size can hold."""

Kind = Literal["file", "directory", "symlink"]

_ZERO = b"0000000\0"
# Name, mode, owner 0:0, size, time, spaces for the checksum, kind, link target, no names, no device, prefix.
_BLOCK = b"%b%07o\0" + 2 * _ZERO + b"%011o\0%011o\0        %b%bustar\x0000" + bytes(80) + b"%b"
_CHECKSUM = slice(148, 156)
_FLAGS: dict[Kind, bytes] = {"file": b"0", "directory": b"5", "symlink": b"2"}
_NAME, _PREFIX = 100, 155
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
    if size > LARGEST_SIZE:
        extended["size"] = str(size)
        size = 0
    link = target.encode("ascii", "replace")[:_NAME]
    block = _ustar(split, _FLAGS[kind], mode, size, mtime, link)
    return _pax(extended) + block if extended else block


def padding(size: int) -> bytes:
    """Return the zeros that fill ``size`` bytes up to a whole block."""
    return bytes(-size % BLOCK)


def checksum(block: bytes) -> int:
    """Return what a header's checksum is to be, which in ``block`` is spaces; its zeros need not be there."""
    # The sum of all bytes. Adler-32's lower half is one more, modulo 65,521 (RFC 1950): above what 512 bytes
    # of ASCII can add up to.
    return (zlib.adler32(block) & 0xFFFF) - 1


def _split(name: str) -> tuple[bytes, bytes] | None:
    """Return (name, prefix) as ustar holds them, or None when it can't."""
    if not name.isascii():
        return None
    data = name.encode()
    if len(data) <= _NAME:
        return data, b""
    # The first slash after which the rest fits, where tarfile splits too.
    cut = data.find(b"/", len(data) - _NAME - 1)
    if not 0 < cut <= _PREFIX or cut == len(data) - 1:
        return None
    return data[cut + 1 :], data[:cut]


def _ustar(
    split: tuple[bytes, bytes], flag: bytes, mode: int, size: int, mtime: int, link: bytes = b""
) -> bytes:
    name, prefix = split
    block = _BLOCK % (
        name.ljust(_NAME, b"\0"),
        mode,
        size,
        mtime,
        flag,
        link.ljust(_NAME, b"\0"),
        prefix.ljust(_PREFIX + 12, b"\0"),
    )
    return b"%b%06o\0 %b" % (block[: _CHECKSUM.start], checksum(block), block[_CHECKSUM.stop :])


def _pax(records: dict[str, str]) -> bytes:
    data = b"".join(_record(key, records[key]) for key in sorted(records))
    block = _ustar((_PAX_NAME, b""), b"x", 0, len(data), 0)
    return block + data + padding(len(data))


def _record(key: str, value: str) -> bytes:
    """Return ``<length> key=value`` and a newline; the length counts its own digits too."""
    body = f" {key}={value}\n".encode()
    length = len(body)
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return b"%d%b" % (length, body)
