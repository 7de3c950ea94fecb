"""Reading a run manifest's text: JSON, or YAML under the 1.2 core schema (``core_schema.py``)."""

from __future__ import annotations

import contextlib
import json

from envlock.runtime.errors import InputError
from envlock.runtime.numbers_as_written import integer


def read(text: str, where: str) -> object:
    """Return what ``text`` says: dict, list, str, int, float, bool or None.

    A file named ``*.json`` is JSON and nothing else; other text is JSON where it is valid JSON and
    YAML otherwise. ``where`` names the file in errors. Raises InputError with line and column.
    """
    if where.endswith(".json"):
        return read_json(text, where)
    if text.lstrip()[:1] in ("{", "["):
        # A YAML flow mapping begins with a brace too; if it is neither, YAML's error is as good.
        with contextlib.suppress(InputError):
            return read_json(text, where)
    # Imported here: a JSON manifest, or none, costs the entrypoint no YAML parser.
    from envlock.runtime import core_schema

    return core_schema.read_yaml(text, where)


def read_json(text: str, where: str) -> object:
    """Return what the JSON ``text`` says; duplicate keys, NaN and infinities are refused."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise InputError("a key stands twice", where=where, found=repr(twice))
        return found

    def refuse_constant(name: str) -> object:
        raise InputError("not JSON", where=where, expected="a number", found=name)

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse_constant, parse_int=integer)
    except json.JSONDecodeError as error:
        place = f"{where}: line {error.lineno}, column {error.colno}"
        raise InputError("not JSON", where=place, found=error.msg) from error
    except RecursionError as error:
        raise InputError("nested too deeply", where=where) from error
