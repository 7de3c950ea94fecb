"""A lockfile's bytes to the tables that they write down. Pure.

Lines that end in CRLF, as git writes them for Windows, are lines. What is no UTF-8, has a byte order
mark, is no TOML or is nested deeper than any lock is an InputError that says where.
"""

import codecs
import sys
from collections.abc import Mapping

from envlock.core.printable import printable
from envlock.runtime.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FAILED = "not a TOML file"
# A lock has at most eight levels; a few are left to fields that this version does not know.
_DEEPEST = 24


def parse(data: bytes, where: str) -> Mapping[str, object]:
    """Return the document; ``where`` names the file in errors."""
    if data.startswith(codecs.BOM_UTF8):
        raise InputError(_FAILED, where=where, expected="UTF-8 text", found="a byte order mark before it")
    try:
        document = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(_FAILED, where=f"{where}: line {line}", expected="UTF-8 text") from error
    except ValueError as error:
        raise InputError(_FAILED, where=where, found=printable(str(error))) from error
    except RecursionError as error:
        raise _too_deep(where) from error
    if _is_deep(document):
        raise _too_deep(where)
    return document


def _is_deep(document: object) -> bool:
    """Say whether tables and arrays lie deeper in each other than ``_DEEPEST``.

    A key of a thousand dots is a thousand tables without any recursion of the parser, but everything
    that later walks through them would recurse.
    """
    level = [document]
    for _ in range(_DEEPEST):
        level = [inner for value in level for inner in _inner(value) if isinstance(inner, (dict, list))]
        if not level:
            return False
    return True


def _inner(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _too_deep(where: str) -> InputError:
    return InputError(_FAILED, where=where, expected="a lockfile's tables", found="values nested too deeply")
