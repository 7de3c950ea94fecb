"""Text from a file, made fit for a terminal or a message. Pure.

A lockfile, a package's name or an error of a parser may hold control characters: an escape sequence
moves the cursor, hides lines or renames the window; a line break forges a second message; a bidirectional
mark turns the reading order. What ``str.isprintable`` does not call printable is shown escaped.
"""


def printable(text: str) -> str:
    r"""Return ``text`` with each character that would not show itself escaped, as ``\x1b`` or ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
