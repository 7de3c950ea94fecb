"""URLs that may be written down: without user, password, query, fragment and tokens in the path. Pure."""

import re
from itertools import pairwise
from urllib.parse import urlsplit, urlunsplit

# Services that put a token into the path: as conda does (/t/TOKEN/), or bare, long and of mixed letters.
_KNOWN_TOKEN = re.compile(r"(gh[a-z]_|glpat-|pypi-|tk-)\w{8,}", re.ASCII)
_BARE_TOKEN = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=(?:.*\d){2})[A-Za-z0-9]{16,}")
_HIDDEN = "-"


def public(url: str) -> str:
    """Return ``url`` without what could be a secret; a token in its path becomes ``-``."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], _public_path(parts.path), "", ""))


def is_whole(url: str) -> bool:
    """Tell whether the public form of ``url`` names the same thing, to someone with a login."""
    parts = urlsplit(url)
    return not parts.query and _public_path(parts.path) == parts.path


def _public_path(path: str) -> str:
    segments = path.split("/")
    shown = segments[:1]
    for before, segment in pairwise(segments):
        secret = before == "t" or _KNOWN_TOKEN.fullmatch(segment) or _BARE_TOKEN.fullmatch(segment)
        shown.append(_HIDDEN if secret and segment else segment)
    return "/".join(shown)
