"""NumPy: universal functions, reductions, linear algebra, transforms, sorting, random streams."""

from __future__ import annotations

from envlock.runtime.fingerprint.suites.arrays import Arrays
from envlock.runtime.fingerprint.suites.suite import Suite, each, prefixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from envlock.runtime.fingerprint.suites.suite import Named, Operation

# Odd, so that every vector width leaves a tail.
_ELEMENTS = 10_007
_SEED = 20_240_607
# Function → scale of its symmetric argument.
_SYMMETRIC = {
    **dict.fromkeys(("exp", "exp2", "sin", "cos", "tan", "arctan", "reciprocal"), 64.0),
    **dict.fromkeys(("expm1", "sinh", "cosh", "tanh"), 8.0),
    **dict.fromkeys(("arcsin", "arccos", "arctanh"), 1.0),
    **dict.fromkeys(("cbrt", "arcsinh"), 1024.0),
}
_POSITIVE = ("log", "log2", "log10", "log1p", "sqrt")
_BINARY = ("arctan2", "hypot", "divide", "fmod", "logaddexp")
_AT_EDGES = ("exp", "log", "sqrt", "tanh", "sin", "maximum.reduce")
_REDUCTIONS = ("sum", "mean", "var", "std", "prod", "cumsum", "median")


class NumPy(Suite):
    """NumPy's own operations."""

    name = "numpy"
    module = "numpy"

    def __init__(self) -> None:
        """Import NumPy."""
        super().__init__()
        self._make = Arrays(self.framework)

    def kernels(self) -> str:
        """Return the CPU features that NumPy dispatches on and found, and may use."""
        umath = getattr(self.framework, "_core", None) or self.framework.core
        found = umath._multiarray_umath  # noqa: SLF001 - NumPy has no public name for it
        # Since NumPy 2.4 a name may stand for a group, "X86_V4".
        return " ".join(one for one in found.__cpu_dispatch__ if found.__cpu_features__.get(one))

    def reseed(self) -> None:
        """Seed the legacy generator."""
        self.framework.random.seed(_SEED)

    def operations(self) -> Iterator[Named]:
        """Return every operation."""
        for dtype in ("float32", "float64"):
            yield from prefixed(f"numpy.{dtype}", self._universal(dtype))
            yield from prefixed(f"numpy.{dtype}", self._reductions(dtype))
            yield from prefixed(f"numpy.{dtype}", self._products(dtype))
        yield from prefixed("numpy", self._other_types())
        yield from prefixed("numpy.linalg", self._linear())
        yield from prefixed("numpy.fft", self._transforms())
        yield from prefixed("numpy", self._order())
        yield from prefixed("numpy.random", self._random())

    def _universal(self, dtype: str) -> dict[str, Operation]:
        np, make = self.framework, self._make

        def unary(name: str) -> object:
            if name in _POSITIVE:
                return getattr(np, name)(make.units(name, _ELEMENTS, dtype=dtype, scale=1024.0))
            return getattr(np, name)(make.floats(name, _ELEMENTS, dtype=dtype, scale=_SYMMETRIC[name]))

        def binary(name: str) -> object:
            other = make.floats("b", _ELEMENTS, dtype=dtype)
            return getattr(np, name)(make.floats("a", _ELEMENTS, dtype=dtype, scale=8.0), other)

        def power() -> object:
            base = make.units("a", _ELEMENTS, dtype=dtype, scale=16.0)
            return np.power(base, make.floats("b", _ELEMENTS, dtype=dtype, scale=4.0))

        def at_edges(name: str) -> object:
            found = np.maximum.reduce if name == "maximum.reduce" else getattr(np, name)
            return found(make.special(dtype))

        return {
            **each(unary, (*_SYMMETRIC, *_POSITIVE)),
            **each(binary, _BINARY),
            **{f"{name}.edges": operation for name, operation in each(at_edges, _AT_EDGES).items()},
            "power": power,
        }

    def _reductions(self, dtype: str) -> dict[str, Operation]:
        np, make = self.framework, self._make

        def reduced(name: str) -> object:
            values = make.floats("reduced", _ELEMENTS, dtype=dtype, scale=1.0 if name != "prod" else 2.0)
            return getattr(np, name)(values)

        made = each(reduced, _REDUCTIONS)
        made["sum.axis0"] = lambda: make.floats("table", 1003, 37, dtype=dtype).sum(axis=0)
        made["sum.axis1"] = lambda: make.floats("table", 37, 1003, dtype=dtype).sum(axis=1)
        return made

    def _products(self, dtype: str) -> dict[str, Operation]:
        np, make = self.framework, self._make

        def matmul(rows: int, inner: int, columns: int) -> object:
            return make.floats("a", rows, inner, dtype=dtype) @ make.floats("b", inner, columns, dtype=dtype)

        return {
            "matmul.31": lambda: matmul(31, 17, 29),
            "matmul.257": lambda: matmul(257, 129, 255),
            "matmul.512": lambda: matmul(512, 512, 512),
            "matmul.vector": lambda: (
                make.floats("a", 513, 515, dtype=dtype) @ make.floats("b", 515, dtype=dtype)
            ),
            "dot": lambda: np.dot(
                make.floats("a", _ELEMENTS, dtype=dtype), make.floats("b", _ELEMENTS, dtype=dtype)
            ),
            "einsum": lambda: np.einsum(
                "ij,kj->ik", make.floats("a", 37, 101, dtype=dtype), make.floats("b", 41, 101, dtype=dtype)
            ),
        }

    def _other_types(self) -> dict[str, Operation]:
        np, make = self.framework, self._make
        return {
            "float16.exp": lambda: np.exp(make.floats("exp", _ELEMENTS, scale=8.0).astype("float16")),
            "float16.sum": lambda: make.floats("sum", _ELEMENTS).astype("float16").sum(),
            "complex64.multiply": lambda: (
                make.complex("a", _ELEMENTS, dtype="complex64")
                * make.complex("b", _ELEMENTS, dtype="complex64")
            ),
            "complex128.abs": lambda: np.abs(make.complex("a", _ELEMENTS)),
            "complex128.exp": lambda: np.exp(make.complex("a", _ELEMENTS)),
            "complex128.matmul": lambda: make.complex("a", 65, 67) @ make.complex("b", 67, 63),
            "int64.matmul": lambda: (
                make.integers("a", 65, 67, below=1000) @ make.integers("b", 67, 63, below=1000)
            ),
        }

    def _linear(self) -> dict[str, Operation]:
        np, make = self.framework, self._make

        def square(size: int = 65) -> Any:
            return make.floats("square", size, size, dtype="float64")

        def spd(dtype: str = "float64") -> Any:
            return make.positive_definite("spd", 65, dtype)

        return {
            "inv": lambda: np.linalg.inv(square()),
            "solve": lambda: np.linalg.solve(square(), make.floats("b", 65, 3, dtype="float64")),
            "det": lambda: np.linalg.det(square(17)),
            "svd": lambda: np.linalg.svd(make.floats("tall", 97, 65, dtype="float64")),
            "svd.float32": lambda: np.linalg.svd(make.floats("tall", 97, 65)),
            "qr": lambda: np.linalg.qr(make.floats("tall", 97, 65, dtype="float64")),
            "cholesky": lambda: np.linalg.cholesky(spd()),
            "cholesky.float32": lambda: np.linalg.cholesky(spd("float32")),
            "eigh": lambda: np.linalg.eigh(spd()),
            "eigvals": lambda: np.linalg.eigvals(square()),
            "lstsq": lambda: np.linalg.lstsq(
                make.floats("tall", 97, 65, dtype="float64"), make.floats("b", 97, dtype="float64"), None
            )[0],
            "pinv": lambda: np.linalg.pinv(make.floats("tall", 97, 65, dtype="float64")),
        }

    def _transforms(self) -> dict[str, Operation]:
        np, make = self.framework, self._make
        return {
            "fft": lambda: np.fft.fft(make.complex("signal", 1021)),
            "fft.1024": lambda: np.fft.fft(make.complex("signal", 1024)),
            "rfft": lambda: np.fft.rfft(make.floats("signal", 1000, dtype="float64")),
            "fft2.float32": lambda: np.fft.fft2(make.floats("signal", 60, 64)),
        }

    def _order(self) -> dict[str, Operation]:
        np, make = self.framework, self._make

        def ties() -> Any:
            return make.integers("ties", _ELEMENTS, below=97)

        return {
            "sort.float32": lambda: np.sort(make.floats("sort", _ELEMENTS)),
            "sort.edges": lambda: np.sort(make.special("float64")),
            "argsort.ties.float32": lambda: np.argsort(ties().astype("float32")),
            "argsort.ties.int64": lambda: np.argsort(ties()),
            "argsort.ties.stable": lambda: np.argsort(ties(), kind="stable"),
            "argpartition.ties": lambda: np.argpartition(ties(), 500),
            "unique": lambda: np.unique(ties(), return_index=True, return_counts=True),
            "convolve": lambda: np.convolve(
                make.floats("a", 999, dtype="float64"), make.floats("b", 33, dtype="float64")
            ),
            "interp": lambda: np.interp(
                make.units("x", 999, dtype="float64", scale=64.0),
                np.arange(65, dtype="float64"),
                make.floats("y", 65, dtype="float64"),
            ),
            "histogram": lambda: np.histogram(make.floats("a", _ELEMENTS, dtype="float64"), bins=31),
        }

    def _random(self) -> dict[str, Operation]:
        np = self.framework

        def generator() -> Any:
            return np.random.default_rng(_SEED)

        return {
            "rand": lambda: np.random.rand(1001),
            "randn": lambda: np.random.randn(1001),
            "permutation": lambda: np.random.permutation(1001),
            "gamma": lambda: np.random.gamma(2.5, size=1001),
            "Generator.random": lambda: generator().random(1001),
            "Generator.random.float32": lambda: generator().random(1001, dtype="float32"),
            "Generator.standard_normal": lambda: generator().standard_normal(1001),
            "Generator.integers": lambda: generator().integers(0, 1000, 1001),
            "Generator.choice": lambda: generator().choice(1001, 100, replace=False),
            "Generator.beta": lambda: generator().beta(0.7, 2.5, 1001),
        }


SUITE = NumPy
