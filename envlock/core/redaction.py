"""Taking what is secret out of texts that people see."""

import re

_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
_QUERY = re.compile(r"(https?://[^\s?#'\"<>]*)[?#][^\s'\"<>]*")

# Services that put a token into the path: as conda does (/t/TOKEN/), or bare, long and of mixed letters.
_TOKEN = re.compile(
    r"(?<=/)(?:(?<=/t/)[^/\s\"'?#]+|(?:gh[a-z]_|glpat-|pypi-|tk-)[A-Za-z0-9_]{8,}"
    r"|(?=[A-Za-z0-9]*[a-z])(?=[A-Za-z0-9]*[A-Z])(?=(?:[A-Za-z]*[0-9]){2})[A-Za-z0-9]{16,})"
    r"(?=[/\s\"'?#:,]|$)"
)
_HIDDEN = "-"


def redacted(text: str) -> str:
    """Return ``text`` with the user, password, query and fragment of every URL in it taken out."""
    return _QUERY.sub(r"\1", _CREDENTIALS.sub("", text))


def without_tokens(text: str) -> str:
    """Return ``text`` with each token that is a segment of a path replaced by ``-``."""
    return _TOKEN.sub(_HIDDEN, text)
