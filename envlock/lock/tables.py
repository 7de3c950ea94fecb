"""Values to TOML tables and back, driven by the values' own fields.

Rules kept here, for every table below ``[tool.envlock]``:

* A key is the field's name with ``-`` for ``_``. A field that has its default value is left out.
* A digest is ``sha256:<hex>``, except under the key ``sha256``, where it is the bare hex of PEP 751.
* Pairs become a table of strings, other tuples an array, in the order of the value.
* Keys that no field knows go into the value's ``extra`` and are written back after the known ones.
* Whatever is wrong with a table is an InputError that names the path to the fault; nothing of the file
  reaches its text but as printable characters.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

from envlock.core.digest import Digest
from envlock.core.printable import printable
from envlock.runtime.errors import InputError

Value = TypeVar("Value")
_Pair = tuple[str, str]
# What canonical JSON carries exactly; no size in bytes comes near.
_LARGEST = 2**53 - 1
_LINE = 80


def to_table(value: Any, without: Collection[str] = ()) -> dict[str, object]:
    """Return the table of a dataclass value, less the fields named in ``without``."""
    table: dict[str, object] = {}
    for field in fields(value):
        held = getattr(value, field.name)
        if field.name not in (*without, "extra") and not _is_default(field, held):
            table[_key(field.name)] = _written(field, held)
    table.update(sorted(getattr(value, "extra", ())))
    return table


def from_table(
    kind: Callable[..., Value],
    table: object,
    where: str,
    given: Mapping[str, object] | None = None,
    reserved: Collection[str] = (),
) -> Value:
    """Return the ``kind`` that ``table`` describes.

    ``given`` are fields that stand elsewhere, ``reserved`` keys that the caller reads itself.
    """
    members = read_table(table, where)
    found = dict(given or {})
    keys = set(reserved)
    has_extra = False
    for field in fields(kind):  # type: ignore[arg-type]  # callers pass dataclasses
        if field.name == "extra":
            has_extra = True
        elif field.name not in found:
            keys.add(_key(field.name))
            _take(field, members, where, found)
    unknown = tuple((key, members[key]) for key in sorted(members.keys() - keys))
    if has_extra:
        found["extra"] = unknown
    return kind(**found)


def read_table(value: object, where: str) -> Mapping[str, object]:
    """Return ``value`` as a table, or raise InputError."""
    if isinstance(value, Mapping):
        return value
    raise wrong(where, "a table", value)


def read_array(value: object, where: str) -> list[object]:
    """Return ``value`` as an array, or raise InputError."""
    if isinstance(value, list):
        return value
    raise wrong(where, "an array", value)


def under(where: str, key: str) -> str:
    """Return the path of ``key`` below ``where``; ``where`` ends in a colon at the file's root."""
    key = printable(key if len(key) <= _LINE else f"{key[: _LINE - 3]}...")
    return f"{where} {key}" if where.endswith(":") else f"{where}.{key}"


def wrong(where: str, expected: str, found: object) -> InputError:
    """Return the error for a value that is not what it must be."""
    return InputError("not a usable lockfile", where=where, expected=expected, found=shown(found))


def shown(value: object) -> str:
    """Return a value of the file for a message: printable, and short enough for a line of a terminal."""
    if value is None:
        return "nothing"
    if isinstance(value, (Mapping, list)):
        # Its text may be as deep as the file is long.
        return "a table" if isinstance(value, Mapping) else "an array"
    if isinstance(value, int) and abs(value) > _LARGEST:
        # Python refuses to write very large integers out.
        return f"an integer of {value.bit_length()} bits"
    text = printable(repr(value))
    return text if len(text) <= _LINE else f"{text[: _LINE - 3]}..."


def _key(name: str) -> str:
    return name.replace("_", "-")


def _is_default(field: "Field[Any]", held: object) -> bool:
    return held is None or (field.default is not MISSING and held == field.default)


def _written(field: "Field[Any]", held: Any) -> object:
    if isinstance(held, Digest):
        return held.hex if field.name == "sha256" else str(held)
    if isinstance(held, tuple):
        if _pairs(field.type):
            return dict(sorted(held))
        return [to_table(one) if is_dataclass(one) else one for one in held]
    return to_table(held) if is_dataclass(held) else held


def _take(field: "Field[Any]", members: Mapping[str, object], where: str, found: dict[str, object]) -> None:
    key = _key(field.name)
    place = under(where, key)
    if key in members:
        found[field.name] = _read(field.type, members[key], place)
    elif field.default is MISSING:
        raise wrong(place, "a value", None)


def _pairs(kind: Any) -> bool:
    return get_args(kind) == (_Pair, Ellipsis)


def _read(kind: Any, value: object, where: str) -> object:
    """Return ``value`` as the type ``kind``, one of those that the lock's values use."""
    origin = get_origin(kind)
    if origin in (UnionType, Union):
        return _read(get_args(kind)[0], value, where)
    if origin is Literal:
        if value not in get_args(kind):
            raise wrong(where, f"one of {', '.join(get_args(kind))}", value)
        return value
    if origin is tuple:
        return _read_sequence(kind, value, where)
    if kind is Digest:
        return _read_digest(value, where)
    if is_dataclass(kind):
        return from_table(cast("Callable[..., object]", kind), value, where)
    return _read_scalar(kind, value, where)


def _read_sequence(kind: Any, value: object, where: str) -> object:
    if _pairs(kind):
        table = read_table(value, where)
        return tuple((key, _read(str, table[key], under(where, key))) for key in sorted(table))
    member = get_args(kind)[0]
    return tuple(_read(member, one, f"{where}[{i}]") for i, one in enumerate(read_array(value, where)))


def _read_scalar(kind: type, value: object, where: str) -> object:
    # ``type`` rather than isinstance: TOML tells booleans from integers, Python does not.
    if type(value) is not kind:
        names = {str: "a string", int: "an integer", bool: "true or false"}
        raise wrong(where, names[kind], value)
    if isinstance(value, int) and not 0 <= value <= _LARGEST:
        raise wrong(where, f"an integer from 0 to {_LARGEST}", value)
    return value


def _read_digest(value: object, where: str) -> Digest:
    text = _read_scalar(str, value, where)
    bare = where.endswith(".sha256")
    try:
        return Digest(str(text)) if bare else Digest.parse(str(text))
    except InputError as error:
        expected = "64 lower-case hexadecimal digits" if bare else "sha256:<64 lower-case hex digits>"
        raise wrong(where, expected, value) from error
