"""Facts as JSON and back, by the types that their dataclasses declare.

They come out of a process that worked among an image's files. JSON can carry nothing but values, which
a pickle can not promise. Raises ValueError or TypeError for what does not have the declared shape.
"""

import dataclasses
import types
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Value = TypeVar("Value")


def dumps(value: object) -> Any:
    """Return ``value`` as what json takes: dataclasses as objects, all tuples as lists, paths as texts."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: dumps(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [dumps(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def loads(kind: type[Value], value: Any) -> Value:
    """Return the dataclass ``kind`` of what :func:`dumps` made of one."""
    made: Value = _loaded(kind, value)
    return made


def _loaded(kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if origin in _COMPOSED:
        return _COMPOSED[origin](get_args(kind), value)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value)
    if hasattr(kind, "_fields"):
        return kind(*_tuple(tuple(_hints(kind).values()), value))
    if kind is Path:
        return Path(_checked(isinstance(value, str), value))
    return value if kind is object else _checked(type(value) is kind, value)


def _tuple(kinds: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    items = _checked(isinstance(value, list), value)
    if kinds[-1] is Ellipsis:
        return tuple(_loaded(kinds[0], item) for item in items)
    return tuple(_loaded(kind, item) for kind, item in zip(kinds, items, strict=True))


def _union(kinds: tuple[Any, ...], value: Any) -> Any:
    """Return an optional value: nothing here is a union of anything else."""
    if value is None:
        return _checked(type(None) in kinds, value)
    (kind,) = (one for one in kinds if one is not type(None))
    return _loaded(kind, value)


def _dataclass(kind: Any, value: Any) -> Any:
    members = _checked(isinstance(value, dict), value)
    hints = _hints(kind)
    return kind(**{name: _loaded(hints[name], member) for name, member in members.items() if name in hints})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _literal(values: tuple[Any, ...], value: Any) -> Any:
    return _checked(value in values, value)


def _checked(holds: bool, value: Any) -> Any:  # noqa: FBT001 (the test's own result)
    if not holds:
        raise ValueError(f"not what was expected: {str(value)[:80]!r}")
    return value


_COMPOSED: dict[Any, Callable[[tuple[Any, ...], Any], Any]] = {
    tuple: _tuple,
    Union: _union,
    types.UnionType: _union,
    Literal: _literal,
}
