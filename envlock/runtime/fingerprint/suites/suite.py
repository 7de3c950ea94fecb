"""What the suites have in common: flattening a result and hashing it, and a framework's versions.

The hash of an operation is SHA-256 over dtype, shape and bytes of each array in its result, in order;
the first 16 hexadecimal digits are kept. Bytes are taken as they are: every NaN payload and the sign of
zero count. An operation that raises has no hash, and the class of its error stands for it.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Tuple

    Operation = Callable[[], object]
    Named = Tuple[str, Operation]
    Leaf = Tuple[str, Tuple[int, ...], bytes]

_DIGITS = 16


class Suite:
    """A framework's operations. Subclasses say how it is imported and what it computes."""

    VERSION = 1
    name = ""
    module = ""

    def __init__(self) -> None:
        """Import the framework. Raises whatever that raises."""
        from importlib import import_module

        self.framework: Any = import_module(self.module)

    @property
    def version(self) -> str:
        """The framework's own version."""
        return str(getattr(self.framework, "__version__", ""))

    def kernels(self) -> str:
        """Return what the framework says of the kernels that it chose on this CPU; empty where it is mute."""
        return ""

    def reseed(self) -> None:
        """Put the framework's generators where every operation finds them."""

    def operations(self) -> Iterable[Named]:
        """Return (name, operation); nothing is computed before an operation is called."""
        raise NotImplementedError

    def leaf(self, value: Any) -> Leaf | None:
        """Return dtype, shape and bytes of an array of the framework; None for anything else."""
        if not hasattr(value, "tobytes") or not hasattr(value, "dtype"):
            return None
        return str(value.dtype), tuple(value.shape), value.tobytes()

    def hashed(self, operation: Operation) -> str:
        """Run ``operation`` from the same generator states as ever and return the hash of its result."""
        import hashlib

        self.reseed()
        state = hashlib.sha256()
        for dtype, shape, data in self._leaves(operation()):
            state.update(f"{dtype}{list(shape)}{len(data)}:".encode())
            state.update(data)
        return state.hexdigest()[:_DIGITS]

    def _leaves(self, value: object) -> Iterator[Leaf]:
        found = self.leaf(value)
        if found is not None:
            yield found
        elif isinstance(value, (tuple, list)):
            for one in value:
                yield from self._leaves(one)
        elif isinstance(value, float):
            yield "float", (), struct.pack("<d", value)
        elif isinstance(value, (bool, int, str)):
            yield type(value).__name__, (), str(value).encode()
        else:
            raise TypeError(f"no bytes of a {type(value).__name__}")


def each(function: Callable[[str], object], names: Iterable[str]) -> dict[str, Operation]:
    """Return an operation for each name: ``function`` of it."""
    from functools import partial

    return {name: partial(function, name) for name in names}


def prefixed(prefix: str, operations: dict[str, Operation]) -> Iterator[Named]:
    """Yield the operations with ``prefix.`` before their names."""
    for name, operation in operations.items():
        yield f"{prefix}.{name}", operation
