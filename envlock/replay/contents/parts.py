"""The parts of a saved value: each tensor, number or text in it, by its path. Pure."""

from collections.abc import Iterator
from typing import Any

from envlock.replay.contents.tensor import Tensor

Path = tuple[str, ...]
"""Each step as it is written in a name: ``.key``, ``[0]``, or ``{0}`` for a key that is no text."""


def parts(value: Any, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Yield the leaves of nested mappings and lists; an empty one is a leaf itself."""
    match value:
        case dict() if value:
            for key, one in value.items():
                yield from parts(one, (*path, f".{key}" if isinstance(key, str) else f"{{{key!r}}}"))
        case list() | tuple() if value:
            for number, one in enumerate(value):
                yield from parts(one, (*path, f"[{number}]"))
        case _:
            yield path, value


def name(path: Path) -> str:
    """Return how a person writes ``path``: ``layers[0].weight``."""
    return "".join(path).removeprefix(".") or "value"


def shown(value: object) -> str:
    """Return a leaf in one line: a tensor's type and shape, or the value itself."""
    return str(value) if isinstance(value, Tensor | str) else repr(value)
