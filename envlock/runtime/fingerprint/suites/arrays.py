"""Fixed inputs as NumPy arrays, for the suites whose framework takes them."""

from __future__ import annotations

from envlock.runtime.fingerprint import inputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Arrays:
    """Makes inputs with the NumPy that it is given. ``scale`` is a power of two, so that it is exact."""

    def __init__(self, numpy: Any) -> None:
        """Keep NumPy."""
        self._numpy = numpy

    def floats(self, label: str, *shape: int, dtype: str = "float32", scale: float = 1.0) -> Any:
        """Return numbers in [-scale, scale): 24 bits of float32, 53 bits of float64."""
        numpy = self._numpy
        count = _product(shape)
        if dtype == "float64":
            words = numpy.frombuffer(inputs.raw(label, 8 * count), "<i8") >> 11
            return (words.astype("float64") * (2.0**-52 * scale)).reshape(shape)
        words = numpy.frombuffer(inputs.raw(label, 4 * count), "<i4") >> 8
        made = words.astype("float32") * numpy.float32(2.0**-23 * scale)
        return made.astype(dtype).reshape(shape)

    def units(self, label: str, *shape: int, dtype: str = "float32", scale: float = 1.0) -> Any:
        """Return numbers in [0, scale)."""
        symmetric = self.floats(label, *shape, dtype=dtype)
        return (symmetric + symmetric.dtype.type(1)) * symmetric.dtype.type(scale / 2)

    def integers(self, label: str, *shape: int, below: int) -> Any:
        """Return int64 numbers in [0, below)."""
        words = self._numpy.frombuffer(inputs.raw(label, 4 * _product(shape)), "<u4")
        return (words.astype("int64") % below).reshape(shape)

    def complex(self, label: str, *shape: int, dtype: str = "complex128") -> Any:
        """Return complex numbers whose parts lie in [-1, 1)."""
        part = "float32" if dtype == "complex64" else "float64"
        made = self._numpy.empty(shape, dtype)
        made.real = self.floats(f"{label}.real", *shape, dtype=part)
        made.imag = self.floats(f"{label}.imag", *shape, dtype=part)
        return made

    def positive_definite(self, label: str, size: int, dtype: str = "float64") -> Any:
        """Return a symmetric matrix whose diagonal outweighs each row: sums alone, no product of matrices."""
        square = self.floats(label, size, size, dtype=dtype)
        made = square + square.T
        made[range(size), range(size)] += made.dtype.type(4 * size)
        return made

    def special(self, dtype: str) -> Any:
        """Return numbers at the edges of ``dtype``: NaNs, infinities, zeros, denormals."""
        return self._numpy.frombuffer(inputs.special(dtype), dtype)


def _product(shape: tuple[int, ...]) -> int:
    made = 1
    for one in shape:
        made *= one
    return made
