"""The index that pip and uv ask where none is configured, as pypi-simple names it.

Read from that library's text: importing it with its parsers takes 0.15 s, more than all that a capture
of an unchanged environment needs besides.
"""

import re
from functools import cache
from importlib import import_module, util
from pathlib import Path

_NAME = "PYPI_SIMPLE_ENDPOINT"
_LINE = re.compile(rf'^{_NAME}\b[^"\n]*"(https://[^"\n]+)"$', re.MULTILINE)


@cache
def url() -> str:
    """Return the index's URL."""
    found = util.find_spec("pypi_simple")
    text = Path(found.origin).read_text("utf-8") if found is not None and found.origin else ""
    return stated(text) or str(getattr(import_module("pypi_simple"), _NAME))


def stated(text: str) -> str | None:
    """Return the URL that stands in the library's ``text``, or None where it is written in another way."""
    line = _LINE.search(text)
    return line[1] if line is not None else None
