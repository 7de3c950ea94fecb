"""Two files of one output, part by part: which parts differ, and how far apart they are."""

import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from envlock.replay.contents import archives, numpy_file, parts, safetensors, torch_file
from envlock.replay.contents.findings import Distance, Inside, PartDifference
from envlock.replay.contents.tensor import Tensor, distance
from envlock.runtime.errors import InputError

Parts = dict[parts.Path, object]
_ABSENT: Final = object()


def _json(file: Path) -> object:
    return json.loads(file.read_bytes())


_READERS: Final[Mapping[str, Callable[[Path], object]]] = {
    ".gz": archives.read_gz,
    ".json": _json,
    ".keras": archives.read_keras,
    ".npy": numpy_file.read_npy,
    ".npz": numpy_file.read_npz,
    ".pt": torch_file.read,
    ".pth": torch_file.read,
    ".safetensors": safetensors.read,
    ".zip": archives.read_zip,
}
# What reading a damaged file ends in.
_DAMAGED: Final = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    RuntimeError,  # too deep, or a zip member that is encrypted or packed by an unknown method
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    pickle.UnpicklingError,
)


def is_read(path: str) -> bool:
    """Say whether an output's name is of a format that is read here."""
    return Path(path).suffix in _READERS


def look(path: str, run: int, first: Path, second: Path) -> Inside:
    """Return what differs between ``first`` and ``second``, the files of output ``path`` in two runs."""
    if not is_read(path):
        return Inside(path=path, run=run, unread=f"files of this kind are not read: {Path(path).name}")
    try:
        both = _read(first), _read(second)
    except InputError as error:
        return Inside(path=path, run=run, unread=str(error))
    names = tuple(dict.fromkeys((*both[0], *both[1])))
    return Inside(path=path, run=run, parts=len(names), differing=tuple(_differences(names, *both)))


def _read(file: Path) -> Parts:
    """Return the parts of ``file``. Raises InputError."""
    try:
        return dict(parts.parts(_READERS[file.suffix](file)))
    except (InputError, *_DAMAGED) as error:
        raise InputError(f"cannot be read as {file.suffix}", where=str(file), found=str(error)) from error


def _differences(names: tuple[parts.Path, ...], first: Parts, second: Parts) -> Iterator[PartDifference]:
    for name in names:
        one, other = first.get(name, _ABSENT), second.get(name, _ABSENT)
        if not _same(one, other):
            yield PartDifference(
                name=parts.name(name),
                first=None if one is _ABSENT else parts.shown(one),
                second=None if other is _ABSENT else parts.shown(other),
                distance=_distance(one, other),
            )


def _same(first: object, second: object) -> bool:
    """Say whether two leaves are the same to the bit: type, shape and content."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return (first.dtype, first.shape) == (second.dtype, second.shape) and np.array_equal(
            first.data, second.data
        )
    if isinstance(first, float) and isinstance(second, float):
        return struct.pack("<d", first) == struct.pack("<d", second)
    return type(first) is type(second) and first == second


def _distance(first: object, second: object) -> Distance | None:
    """Return how far apart two leaves are; None where they are no numbers of one type and shape."""
    one, other = _as_tensor(first), _as_tensor(second)
    if one is None or other is None or (one.dtype, one.shape) != (other.dtype, other.shape):
        return None
    return distance(one, other)


def _as_tensor(leaf: object) -> Tensor | None:
    if isinstance(leaf, float):
        return Tensor(dtype="float64", shape=(), data=np.frombuffer(struct.pack("<d", leaf), np.uint8))
    return leaf if isinstance(leaf, Tensor) else None
