"""A named array as bits, and how far two of them are apart. Pure.

Distances are counted in units in the last place (ULP): how many numbers of that floating-point type lie
from one value to the other, in the order of their bit patterns. Apart from the sign, the patterns of an IEEE
754 format are ordered as its numbers are. So 0.0 and -0.0 are 0 ULP apart, though not the same bits.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from envlock.replay.contents.findings import Distance

Array = NDArray[Any]

# Elements at a time, so that what is computed from them takes some hundred megabytes at most.
_CHUNK: Final = 1 << 22
_BFLOAT16: Final = "bfloat16"
_COMPONENTS: Final = {"complex64": "float32", "complex128": "float64"}
# By how many bytes a float has: the signed integers that hold its bits.
_SIGNED: Final = {2: "<i2", 4: "<i4", 8: "<i8"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tensor:
    """An array of any number of dimensions.

    ``dtype`` is NumPy's name of the type, or the format's own for one that NumPy lacks (``bfloat16``).
    ``data`` has the elements' bytes, little-endian, in C order: shape (bytes,), uint8.
    """

    dtype: str
    shape: tuple[int, ...]
    data: Array

    def __post_init__(self) -> None:
        """Raise ValueError where the bytes are no whole number of elements, as in a file that was cut off."""
        if len(self.data) % self.size if self.size else len(self.data):
            raise ValueError(f"{len(self.data)} bytes for {self}")

    @property
    def size(self) -> int:
        """Return the number of elements."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        """Return type and shape, as ``float32[3, 4]``."""
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


def distance(first: Tensor, second: Tensor) -> Distance:
    """Return how far apart two tensors of the same type and shape are."""
    parts = list(_parts(first, second)) if first.size else []
    return Distance(
        elements=sum(one.elements for one in parts),
        of=first.size,
        ulp=max((one.ulp for one in parts if one.ulp is not None), default=None),
        absolute=max((one.absolute for one in parts if one.absolute is not None), default=None),
        nan=sum(one.nan for one in parts),
    )


def _parts(first: Tensor, second: Tensor) -> Iterator[Distance]:
    """Yield the distance of each run of elements that has a difference."""
    width = len(first.data) // first.size
    for start in range(0, len(first.data), _CHUNK * width):
        one, other = (
            whole.data[start : start + _CHUNK * width].reshape(-1, width) for whole in (first, second)
        )
        rows = (one != other).any(axis=1)
        if rows.any():
            yield _apart(first.dtype, one[rows].ravel(), other[rows].ravel(), int(rows.sum()))


def _apart(dtype: str, first: Array, second: Array, elements: int) -> Distance:
    """Return how far apart ``elements`` are that all differ."""
    dtype = _COMPONENTS.get(dtype, dtype)
    one, other = _numbers(dtype, first), _numbers(dtype, second)
    if one is None or other is None:
        return Distance(elements=elements, of=elements, ulp=None, absolute=None, nan=0)
    known = ~(np.isnan(one) | np.isnan(other))
    with np.errstate(invalid="ignore", over="ignore"):
        # Equal infinities are 0 apart, not NaN: one part of a complex number may be the same.
        gaps = np.where(one == other, 0.0, np.abs(one - other))[known]
    places = _places(dtype, first), _places(dtype, second)
    return Distance(
        elements=elements,
        of=elements,
        ulp=None if places[0] is None or places[1] is None else _widest(places[0][known], places[1][known]),
        absolute=float(gaps.max()) if gaps.size else None,
        nan=int((np.isnan(one) ^ np.isnan(other)).sum()),
    )


def _numbers(dtype: str, data: Array) -> Array | None:
    """Return the elements as float64; None for a type whose elements are no numbers that NumPy knows."""
    if dtype == _BFLOAT16:
        # The upper half of a float32.
        return (data.view("<u2").astype("<u4") << 16).view("<f4").astype(np.float64)
    kind = _numpy(dtype)
    if kind is None or kind.kind not in "biuf":
        return None
    return data.view(kind.newbyteorder("<")).astype(np.float64)


def _places(dtype: str, data: Array) -> Array | None:
    """Return each element's place in the order of its type's numbers, as int64; None where it is no float."""
    kind = _numpy("float16" if dtype == _BFLOAT16 else dtype)
    if kind is None or kind.kind != "f" or kind.itemsize not in _SIGNED:
        return None
    bits = data.view(_SIGNED[kind.itemsize]).astype(np.int64)
    lowest = -(1 << (8 * kind.itemsize - 1))
    return np.where(bits < 0, lowest - bits, bits)


def _widest(first: Array, second: Array) -> int | None:
    """Return the largest distance of two places; None for none. It may need 64 bits without a sign."""
    if not first.size:
        return None
    upper, lower = np.maximum(first, second), np.minimum(first, second)
    return int((upper.view(np.uint64) - lower.view(np.uint64)).max())


def _numpy(dtype: str) -> "np.dtype[Any] | None":
    try:
        return np.dtype(dtype)
    except TypeError:
        return None
