"""Plain data as JSON, with its arrays as ``.npy`` members: what a checkpoint returns when it is loaded.

None, booleans, integers of any size, floats, text, lists (tuples become lists), mappings with text as
keys, and arrays of NumPy, JAX or TensorFlow, which come back as NumPy's.
"""

from __future__ import annotations

from envlock.runtime.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envlock.runtime.checkpoint.archive import Reader, Writer

_ARRAY = "$array"
_BUILT_IN = 1


def to_document(value: Any, writer: Writer, path: str) -> Any:
    """Return ``value`` for JSON, its arrays added to ``writer``. Raises InputError that names the fault."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [to_document(one, writer, f"{path}[{at}]") for at, one in enumerate(value)]
    if isinstance(value, dict):
        return {_key(key, path): to_document(one, writer, f"{path}.{key}") for key, one in value.items()}
    if hasattr(value, "__array__") and not type(value).__module__.startswith("torch"):
        return {_ARRAY: add_array(value, writer, path)}
    raise InputError(
        "cannot be kept in a checkpoint",
        where=path,
        expected="plain data and arrays",
        found=type(value).__name__,
        hint="name an object that has a state (a model, an optimizer, a generator) as an argument of its own",
    )


def from_document(document: Any, reader: Reader) -> Any:
    """Return the value of :func:`to_document`."""
    if isinstance(document, list):
        return [from_document(one, reader) for one in document]
    if isinstance(document, dict):
        if _ARRAY in document:
            return array(document[_ARRAY], reader)
        return {key: from_document(one, reader) for key, one in document.items()}
    return document


def add_array(value: Any, writer: Writer, path: str) -> str:
    """Add an array as a member and return its name."""
    import numpy as np

    made = np.asarray(value)
    if made.dtype.isbuiltin != _BUILT_IN or made.dtype.hasobject:
        raise InputError(
            "cannot be kept in a checkpoint",
            where=path,
            expected="an array of numbers in the machine's byte order",
            found=str(made.dtype),
            hint="view it as integers of its width",
        )
    write: Any = np.lib.format.write_array
    return writer.add(lambda stream: write(stream, made, allow_pickle=False))


def array(name: str, reader: Reader) -> Any:
    """Return the array of the member ``name``."""
    import numpy as np

    read: Any = np.lib.format.read_array
    return read(reader.member(name), allow_pickle=False)


def _key(key: object, path: str) -> str:
    if not isinstance(key, str) or key.startswith("$"):
        raise InputError(
            "cannot be kept in a checkpoint", where=path, expected="text as key", found=repr(key)
        )
    return key
