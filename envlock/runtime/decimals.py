"""Decimal text of integers of any size.

CPython refuses to convert more than 4,300 digits at once (CVE-2020-10735), which a master seed
"of any size" may have; so long ones are converted in pieces.
"""

from __future__ import annotations

_DIGITS = 4000
_PIECE = 10**_DIGITS


def to_text(value: int) -> str:
    """Return the decimal digits of ``value``, an integer of at least 0."""
    pieces = []
    while value >= _PIECE:
        value, rest = divmod(value, _PIECE)
        pieces.append(str(rest).zfill(_DIGITS))
    return str(value) + "".join(reversed(pieces))


def from_text(text: str) -> int | None:
    """Return the integer that ``text`` names in ASCII digits alone, None when it is anything else."""
    if not (text.isascii() and text.isdigit()):
        return None
    value = 0
    for start in range(0, len(text), _DIGITS):
        piece = text[start : start + _DIGITS]
        value = value * 10 ** len(piece) + int(piece)
    return value
