"""Taking what is secret out of texts that people see."""

import re

_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
_QUERY = re.compile(r"(https?://[^\s?#'\"<>]*)[?#][^\s'\"<>]*")


def redacted(text: str) -> str:
    """Return ``text`` with the user, password, query and fragment of every URL in it taken out."""
    return _QUERY.sub(r"\1", _CREDENTIALS.sub("", text))
