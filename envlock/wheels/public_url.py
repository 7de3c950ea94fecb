"""URLs that may be written down: without user, password, query, fragment and tokens in the path. Pure."""

from urllib.parse import urlsplit, urlunsplit

from envlock.core.redaction import without_tokens


def public(url: str) -> str:
    """Return ``url`` without what could be a secret; a token in its path becomes ``-``."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], without_tokens(parts.path), "", ""))


def is_whole(url: str) -> bool:
    """Tell whether the public form of ``url`` names the same thing, to someone with a login."""
    parts = urlsplit(url)
    return not parts.query and without_tokens(parts.path) == parts.path
