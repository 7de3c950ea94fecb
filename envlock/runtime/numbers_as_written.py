"""Numbers of a document that keep the text they were written as.

So ``1.10`` can be quoted in an error, and a hash of digits alone is still that hash.
"""

from __future__ import annotations

from envlock.runtime import decimals


class Integer(int):
    """An integer and the text that it was written as."""

    text: str


class Real(float):
    """A real number and the text that it was written as."""

    text: str


def integer(text: str, value: int | None = None) -> Integer:
    """Return the integer that ``text`` writes in decimal digits, or ``value``."""
    if value is None:
        digits = decimals.from_text(text.lstrip("+-")) or 0
        value = -digits if text.startswith("-") else digits
    made = Integer(value)
    made.text = text
    return made


def real(text: str, value: float) -> Real:
    """Return ``value`` as ``text`` writes it."""
    made = Real(value)
    made.text = text
    return made
