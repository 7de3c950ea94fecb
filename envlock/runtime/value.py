"""Immutable values with named fields: what ``dataclasses`` does, at a tenth of the price.

Every start of a container imports this package. ``dataclasses`` (through ``inspect``) costs 15 ms
there and ``typing.NamedTuple`` 5 ms and 0.3 ms a class; the target for the whole entrypoint is 40 ms.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_: object) -> object:
        """Tell type checkers how fields are read; nothing at run time."""
        return lambda made: made


@dataclass_transform(frozen_default=True)
class Value:
    """A subclass's annotations are its fields, in order; a field's class attribute is its default."""

    _fields: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(name for name in cls.__annotations__ if not name.startswith("_"))

    def __init__(self, *values: object, **named: object) -> None:
        """Keep one value a field, by position or by name. Raises TypeError for any other number."""
        given = dict(zip(self._fields, values))  # noqa: B905 - strict came with Python 3.10
        given.update(named)
        for name in self._fields:
            if name not in given and not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} lacks {name}")
        if len(values) > len(self._fields) or not set(given) <= set(self._fields):
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(self._fields)}")
        self.__dict__.update(
            {name: given.get(name, getattr(type(self), name, None)) for name in self._fields}
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __lt__(self, other: Self) -> bool:
        return tuple(self.as_dict().values()) < tuple(other.as_dict().values())

    def __hash__(self) -> int:
        return hash(tuple(self.as_dict().values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.as_dict().items())
        return f"{type(self).__name__}({fields})"

    def as_dict(self) -> dict[str, object]:
        """Return the fields by name, in their order; values inside stay values."""
        return {name: self.__dict__[name] for name in self._fields}

    def replace(self, **changes: object) -> Self:
        """Return the value with some fields changed."""
        return type(self)(**{**self.as_dict(), **changes})
