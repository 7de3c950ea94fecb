"""SciPy: what jobs use beyond NumPy, each through a library of its own (BLAS, pocketfft, Boost)."""

from __future__ import annotations

from envlock.runtime.fingerprint.suites.arrays import Arrays
from envlock.runtime.fingerprint.suites.suite import Suite, prefixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from envlock.runtime.fingerprint.suites.suite import Named, Operation


class SciPy(Suite):
    """A few operations of each part of SciPy."""

    name = "scipy"
    module = "scipy"

    def __init__(self) -> None:
        """Import SciPy and NumPy."""
        from importlib import import_module

        super().__init__()
        self._numpy: Any = import_module("numpy")
        self._make = Arrays(self._numpy)

    def operations(self) -> Iterator[Named]:
        """Return every operation."""
        yield from prefixed("scipy.linalg", self._linear())
        yield from prefixed("scipy.special", self._special())
        yield from prefixed("scipy", self._others())

    def _part(self, name: str) -> Any:
        """Import one part when an operation of it runs, so that a broken one costs no other."""
        from importlib import import_module

        return import_module(f"scipy.{name}")

    def _linear(self) -> dict[str, Operation]:
        make, part = self._make, self._part

        def square() -> Any:
            return make.floats("square", 65, 65, dtype="float64")

        return {
            "expm": lambda: part("linalg").expm(square()),
            "lu": lambda: part("linalg").lu(square()),
            "schur": lambda: part("linalg").schur(square()),
            "eigh.float32": lambda: part("linalg").eigh(make.positive_definite("spd", 65, "float32")),
        }

    def _special(self) -> dict[str, Operation]:
        make, part = self._make, self._part

        def positive() -> Any:
            return make.units("positive", 1001, dtype="float64", scale=16.0)

        return {
            "gammaln": lambda: part("special").gammaln(positive()),
            "erf": lambda: part("special").erf(make.floats("x", 1001, dtype="float64", scale=4.0)),
            "jv": lambda: part("special").jv(1.5, positive()),
            "logsumexp": lambda: part("special").logsumexp(make.floats("x", 33, 37, dtype="float64"), axis=1),
        }

    def _others(self) -> dict[str, Operation]:
        np, make, part = self._numpy, self._make, self._part

        def sparse() -> Any:
            dense = make.positive_definite("spd", 65)
            return part("sparse").csc_matrix(np.where(np.abs(dense) > 1, dense, 0))

        def minimum() -> Any:
            found = part("optimize").minimize(lambda x: ((x[1:] - x[:-1] ** 2) ** 2).sum(), np.full(5, 1.5))
            return found.x

        return {
            "fft.dct": lambda: part("fft").dct(make.floats("signal", 1000, dtype="float64")),
            "sparse.spsolve": lambda: part("sparse.linalg").spsolve(
                sparse(), make.floats("b", 65, dtype="float64")
            ),
            "optimize.minimize": minimum,
            "integrate.solve_ivp": lambda: (
                part("integrate")
                .solve_ivp(lambda _, y: np.array([y[1], -np.sin(y[0])]), (0.0, 4.0), [1.0, 0.0])
                .y
            ),
            "signal.lfilter": lambda: part("signal").lfilter(
                [0.25, 0.5, 0.25], [1.0, -0.5, 0.125], make.floats("signal", 1001, dtype="float64")
            ),
            "spatial.cdist": lambda: part("spatial.distance").cdist(
                make.floats("a", 65, 7, dtype="float64"), make.floats("b", 67, 7, dtype="float64")
            ),
            "ndimage.gaussian_filter": lambda: part("ndimage").gaussian_filter(
                make.floats("image", 65, 67, dtype="float64"), 1.5
            ),
            "interpolate.CubicSpline": lambda: part("interpolate").CubicSpline(
                np.arange(33.0), make.floats("y", 33, dtype="float64")
            )(np.linspace(0.0, 32.0, 257)),
            "stats.norm.ppf": lambda: part("stats").norm.ppf(make.units("p", 1001, dtype="float64")),
        }


SUITE = SciPy
