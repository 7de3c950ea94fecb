"""Arrays as NumPy writes them: ``.npy`` and ``.npz``. Python objects are refused, never unpickled."""

import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy

from envlock.replay.contents.members import mapped, members
from envlock.replay.contents.tensor import Array, Tensor
from envlock.runtime.errors import InputError

_SUFFIX: Final = ".npy"
# A header is refused by NumPy itself where it is longer than 10,000 characters.
_MOST: Final = 16_384
_MAGIC: Final = b"\x93NUMPY"
_Header = tuple[tuple[int, ...], bool, "np.dtype[Any]"]
_HEADERS: Final[Mapping[bytes, Callable[[IO[bytes]], _Header]]] = {
    b"\1\0": npy.read_array_header_1_0,
    b"\2\0": npy.read_array_header_2_0,
}


def read_npy(file: Path) -> Tensor:
    """Return the array in ``file``. Raises InputError, OSError or ValueError."""
    return _tensor(mapped(file), file.name)


def read_npz(file: Path) -> dict[str, Tensor]:
    """Return the arrays in ``file`` by name. Raises InputError, OSError, ValueError or BadZipFile."""
    return {name.removesuffix(_SUFFIX): _tensor(data, name) for name, data in members(file).items()}


def _tensor(data: Array, name: str) -> Tensor:
    start = io.BytesIO(data[:_MOST].tobytes())
    magic, version = start.read(len(_MAGIC)), start.read(2)
    if magic != _MAGIC or version not in _HEADERS:
        raise InputError("not an array", where=name, expected="NumPy's format, version 1 or 2")
    shape, fortran, dtype = _HEADERS[version](start)
    if dtype.hasobject:
        raise InputError("an array of Python objects, which only unpickling reads", where=name)
    bytes_ = data[start.tell() :][: math.prod(shape) * dtype.itemsize]
    elements = bytes_.view(dtype).reshape(shape, order="F" if fortran else "C")
    little = np.ascontiguousarray(elements, dtype=dtype.newbyteorder("<"))
    return Tensor(dtype=dtype.name, shape=shape, data=little.reshape(-1).view(np.uint8))
