"""What stands between two files in a layer, as one gzip member, without a search for its zeros.

A layer has this 50,000 times. What it is stands in :mod:`envlock.oci.tar` and :mod:`envlock.oci.deflate`,
whose :func:`~envlock.oci.deflate.header_member` comes to the same bytes in three times the time, for all
that can stand there.
"""

from functools import cache
from typing import Final

from envlock.core.inflating import crc32
from envlock.oci import tar
from envlock.oci.deflate import END, MEMBER_HEADER, SHORTEST_ZEROS, member_trailer, stored_head, zeros

_NAME, _LINK, _REST = 100, 100, 247
# Mode, owner 0:0, size, time, spaces for the checksum, kind.
_FIELDS = b"%07o\0" + b"0000000\0" * 2 + b"%011o\0%011o\0        0"
_FIELDS_SIZE = 57
_CHECKSUM = 48
_MAGIC = b"ustar\x0000"
_PLAIN_TAIL: Final = bytes(_LINK) + _MAGIC + bytes(_REST)
_TAIL: Final = b"".join((zeros(_LINK), stored_head(len(_MAGIC)), _MAGIC, zeros(_REST), END))


def heading(padding: int, name: str, mode: int, size: int, mtime: int) -> tuple[bytes, bytes] | None:
    """Return zeros and a regular file's header, plain and as a gzip member.

    None where the header is not one block whose first field has all of ``name``.
    """
    encoded = name.encode()
    length = len(encoded)
    if length > _NAME or length != len(name) or size > tar.LARGEST_SIZE:
        return None
    fields = _FIELDS % (mode, size, mtime)
    checksum = tar.checksum(b"%b%b%b" % (encoded, fields, _MAGIC))
    fields = b"%b%06o\0 0" % (fields[:_CHECKSUM], checksum)
    gap = _NAME - length
    plain = b"%b%b%b%b%b" % (bytes(padding), encoded, bytes(gap), fields, _PLAIN_TAIL)
    # Runs too short for a block of their own are spelled out.
    before, lead = (zeros(padding), 0) if padding >= SHORTEST_ZEROS else (b"", padding)
    if gap >= SHORTEST_ZEROS:
        head, between = stored_head(lead + length), _gap(gap)
    else:
        head, between = stored_head(lead + _NAME + _FIELDS_SIZE), bytes(gap)
    trailer = member_trailer(crc32(plain), len(plain))
    return plain, b"".join(
        (MEMBER_HEADER, before, head, bytes(lead), encoded, between, fields, _TAIL, trailer)
    )


@cache
def _gap(count: int) -> bytes:
    """Return the block of zeros after a name, and the head of the one for what follows."""
    return zeros(count) + stored_head(_FIELDS_SIZE)
