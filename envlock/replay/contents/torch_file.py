"""What ``torch.save`` writes, read without torch and without running anything that the file names.

The format is a zip: ``data.pkl`` is a pickle that names the tensors' bytes, ``data/<key>``, by persistent IDs
(torch/serialization.py). A pickle may call whatever it names, so the few names below are all that is known
here, each with a harmless meaning. Any other one is refused, as torch does under ``weights_only``.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import as_strided

from envlock.replay.contents.members import members
from envlock.replay.contents.tensor import Array, Tensor
from envlock.runtime.errors import InputError

# torch's types in NumPy's words, with the bytes of an element.
_TYPES: Final = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
    "complex64": 8,
    "complex128": 16,
}
_STORAGES: Final = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}
_PICKLE: Final = "data.pkl"


def read(file: Path) -> object:
    """Return what was saved, with each tensor as a :class:`Tensor`.

    Raises InputError for a file of another form or with other objects in it; else as reading and unpickling
    do: OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile or pickle.UnpicklingError.
    """
    found = members(file)
    top = next((name.removesuffix(_PICKLE) for name in found if name.endswith(f"/{_PICKLE}")), None)
    if top is None or found.get(f"{top}byteorder", np.zeros(0, np.uint8)).tobytes() == b"big":
        raise InputError("not what torch.save writes", where=str(file), expected="a zip, little-endian")
    return _Unpickler(found, top).load()


class _Unpickler(pickle.Unpickler):
    """Knows how to make tensors, and nothing else."""

    def __init__(self, found: Mapping[str, Array], top: str) -> None:
        super().__init__(io.BytesIO(found[f"{top}{_PICKLE}"].tobytes()))
        self._found, self._top = found, top

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name means here. Raises InputError for any other name."""
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if module == "torch" and name in _TYPES:
            return name
        if (module, name) not in _NAMES:
            raise InputError("holds an object that is not read", found=f"{module}.{name}")
        return _NAMES[module, name]

    def persistent_load(self, pid: Any) -> tuple[str, Array]:
        """Return the type and the bytes of a storage."""
        _, dtype, key, *_ = pid
        return dtype, self._found[f"{self._top}data/{key}"]


def _rebuild(storage: tuple[str, Array], offset: int, size: Any, stride: Any, *_: object) -> Tensor:
    """Return the tensor that is a view of ``storage``; offset and strides are counted in elements."""
    return _view(*storage, offset, tuple(size), tuple(stride))


def _rebuild_typed(storage: tuple[str, Array], offset: int, size: Any, stride: Any, *more: Any) -> Tensor:
    """Do as :func:`_rebuild` with a storage that has no type: it comes third of what follows."""
    return _view(more[2], storage[1], offset, tuple(size), tuple(stride))


def _view(dtype: str, data: Array, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    width = _TYPES[dtype]
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if 0 not in size and (min((offset, *stride)) < 0 or (last + 1) * width > len(data)):
        raise InputError(
            "a tensor reaches outside its storage", found=f"element {last} of {len(data) // width}"
        )
    elements = data[offset * width :].view(f"V{width}")
    strides = tuple(step * width for step in stride)
    return Tensor(
        dtype=dtype,
        shape=size,
        data=np.ascontiguousarray(as_strided(elements, size, strides)).reshape(-1).view(np.uint8),
    )


def _parameter(data: Tensor, *_: object) -> Tensor:
    return data


_NAMES: Final = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): tuple,
    ("torch", "device"): lambda *words: ":".join(map(str, words)),
    ("torch.storage", "UntypedStorage"): "uint8",
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_typed,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}
