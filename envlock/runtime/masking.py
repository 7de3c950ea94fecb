"""What looks like a secret, and is therefore never written to a record.

The rule ("secret-looking"): a variable, an option or a parameter of a URL whose name has a word for a secret
in it, and the user part of a URL. The value is replaced by ``***``, so that a replay can say what it lacks.
"""

from __future__ import annotations

import re

MASK = "***"

_NAME = re.compile(
    r"(?i)(token|secret|passw|pwd|credential|private|api[-_]?key|access[-_]?key|auth|cookie|signature|dsn"
    r"|^sig$)"
)
# No scheme before it: for one, each letter of a long word would be tried as its start.
_ADDRESS = re.compile(r"(?<=://)[^\s\"'<>]+")
_URL_USER = re.compile(r"(?<=://)[^/@\s]+@")
_PARAMETER = re.compile(r"(?<=[?&;#])([^=?&;#]+)=[^&;#]*")
_OPTION = re.compile(r"(--?[A-Za-z][\w.-]*|[A-Za-z_]\w*)=(.*)", re.DOTALL)


def looks_secret(name: str) -> bool:
    """Return whether a variable, an option or a URL's parameter of this name is taken to hold a secret."""
    return bool(_NAME.search(name))


def value(name: str, text: str) -> str:
    """Return ``text`` as a record may hold it under ``name``."""
    return MASK if looks_secret(name) else _in_urls(text)


def command(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command line as a record may hold it: ``--token=x`` and ``--token x`` are masked."""
    masked = []
    hide_next = False
    for word in words:
        option = _OPTION.fullmatch(word)
        if hide_next and not word.startswith("-"):
            masked.append(MASK)
        elif option:
            masked.append(f"{option.group(1)}={value(option.group(1), option.group(2))}")
        else:
            masked.append(_in_urls(word))
        hide_next = word.startswith("-") and "=" not in word and looks_secret(word)
    return tuple(masked)


def _in_urls(text: str) -> str:
    without_users = _URL_USER.sub(f"{MASK}@", text)
    return _ADDRESS.sub(lambda found: _PARAMETER.sub(_parameter, found.group()), without_users)


def _parameter(found: re.Match[str]) -> str:
    name = found.group(1)
    return f"{name}={MASK}" if looks_secret(name) else found.group()
