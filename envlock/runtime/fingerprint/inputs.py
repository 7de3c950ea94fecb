"""Fixed inputs: the same bytes on every machine and for every version of every framework.

The bytes of an input are SHAKE-256 (FIPS 202) of ``envlock.fingerprint.v1/<label>``: no framework's
generator is asked, since those are among the things that are fingerprinted. Suites turn the bytes into
numbers by steps that are exact wherever arithmetic follows IEEE 754: a shift of integers, a conversion
of an integer that fits the mantissa, a product with a power of two.
"""

from __future__ import annotations

import struct

_DOMAIN = "envlock.fingerprint.v1/"
# float32: quiet NaNs of both signs and with a payload, infinities, zeros, the least and the greatest
# denormal, the least and the greatest normal number, ones and their neighbours.
_SPECIAL32 = (
    *(0x7FC00000, 0xFFC00000, 0x7FC01234, 0x7F800000, 0xFF800000, 0x00000000, 0x80000000),
    *(0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF),
    *(0x3F800000, 0xBF800000, 0x3F7FFFFF, 0x3F800001, 0x42B17218, 0xC2CFF1B5),
)
_SPECIAL64 = (
    *(0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000001234, 0x7FF0000000000000),
    *(0xFFF0000000000000, 0x0000000000000000, 0x8000000000000000, 0x0000000000000001),
    *(0x8000000000000001, 0x000FFFFFFFFFFFFF, 0x0010000000000000, 0x7FEFFFFFFFFFFFFF),
    *(0xFFEFFFFFFFFFFFFF, 0x3FF0000000000000, 0xBFF0000000000000, 0x3FEFFFFFFFFFFFFF),
    *(0x3FF0000000000001, 0x40862E42FEFA39EF, 0xC0874910D52D3052),
)
# Often enough that vectors of 8 and of 16 meet them, with a tail.
_REPEATED = 5


def raw(label: str, size: int) -> bytes:
    """Return ``size`` bytes for the input ``label``."""
    # Imported here, as everywhere in the runtime: it loads OpenSSL.
    import hashlib

    return hashlib.shake_256((_DOMAIN + label).encode("utf-8")).digest(size)


def special(dtype: str) -> bytes:
    """Return the bytes of numbers at the edges of ``dtype`` (float32 or float64), in native order."""
    patterns, code = (_SPECIAL32, "I") if dtype == "float32" else (_SPECIAL64, "Q")
    return struct.pack(f"={len(patterns) * _REPEATED}{code}", *(patterns * _REPEATED))
