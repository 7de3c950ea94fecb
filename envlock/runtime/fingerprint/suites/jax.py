"""JAX on the CPU: what XLA compiles, the LAPACK calls, and the streams of its keys."""

from __future__ import annotations

from envlock.runtime.fingerprint.suites.arrays import Arrays
from envlock.runtime.fingerprint.suites.suite import Suite, each, prefixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from envlock.runtime.fingerprint.suites.suite import Leaf, Named, Operation

_SEED = 20_240_607
_ELEMENTS = 10_007
_SYMMETRIC = {"exp": 64.0, "sin": 64.0, "tanh": 8.0, "expm1": 8.0}
_POSITIVE = ("log", "sqrt", "log1p")
_ACTIVATIONS = ("gelu", "silu", "sigmoid", "softplus")


class Jax(Suite):
    """JAX's operations on the CPU, whatever devices there are."""

    name = "jax"
    module = "jax"

    def __init__(self) -> None:
        """Import JAX, jax.numpy and NumPy."""
        from importlib import import_module

        super().__init__()
        self._jnp: Any = import_module("jax.numpy")
        self._numpy: Any = import_module("numpy")
        self._make = Arrays(self._numpy)

    def operations(self) -> Iterator[Named]:
        """Return every operation."""
        from functools import partial

        parts = (self._elementwise(), self._products(), self._linear(), self._others(), self._random())
        cpu = self.framework.local_devices(backend="cpu")[0]

        def on_cpu(operation: Operation) -> object:
            with self.framework.default_device(cpu):
                return operation()

        for part in parts:
            for name, operation in prefixed("jax", part):
                yield name, partial(on_cpu, operation)

    def leaf(self, value: Any) -> Leaf | None:
        """Return dtype, shape and bytes of an array."""
        if isinstance(value, self.framework.Array):
            value = self._numpy.asarray(value)
        return super().leaf(value)

    def _floats(self, label: str, *shape: int, scale: float = 1.0) -> Any:
        return self._jnp.asarray(self._make.floats(label, *shape, scale=scale))

    def _elementwise(self) -> dict[str, Operation]:
        jnp, nn = self._jnp, self.framework.nn

        def unary(name: str) -> Any:
            if name in _POSITIVE:
                return getattr(jnp, name)(jnp.asarray(self._make.units(name, _ELEMENTS, scale=1024.0)))
            return getattr(jnp, name)(self._floats(name, _ELEMENTS, scale=_SYMMETRIC[name]))

        def activated(name: str) -> Any:
            return getattr(nn, name)(self._floats(name, _ELEMENTS, scale=8.0))

        made = {**each(unary, (*_SYMMETRIC, *_POSITIVE)), **each(activated, _ACTIVATIONS)}
        made["rsqrt"] = lambda: self.framework.lax.rsqrt(
            jnp.asarray(self._make.units("rsqrt", _ELEMENTS, scale=1024.0))
        )
        made["sum"] = lambda: self._floats("sum", _ELEMENTS).sum()
        made["cumsum"] = lambda: self._floats("cumsum", _ELEMENTS).cumsum()
        made["softmax"] = lambda: nn.softmax(self._floats("table", 67, 1003, scale=8.0))
        return made

    def _products(self) -> dict[str, Operation]:
        def matmul(rows: int, inner: int, columns: int) -> Any:
            return self._floats("a", rows, inner) @ self._floats("b", inner, columns)

        return {"matmul.31": lambda: matmul(31, 17, 29), "matmul.257": lambda: matmul(257, 129, 255)}

    def _linear(self) -> dict[str, Operation]:
        linalg = self._jnp.linalg

        def spd() -> Any:
            return self._jnp.asarray(self._make.positive_definite("spd", 65, "float32"))

        return {
            "linalg.svd": lambda: linalg.svd(self._floats("tall", 97, 65)),
            "linalg.qr": lambda: linalg.qr(self._floats("tall", 97, 65)),
            "linalg.cholesky": lambda: linalg.cholesky(spd()),
            "linalg.eigh": lambda: linalg.eigh(spd()),
            "linalg.solve": lambda: linalg.solve(self._floats("square", 65, 65), self._floats("b", 65, 3)),
        }

    def _others(self) -> dict[str, Operation]:
        jax, jnp = self.framework, self._jnp

        def loss(w: Any) -> Any:
            return jnp.mean(jnp.tanh(self._floats("x", 67, 33) @ w) ** 2)

        return {
            "fft": lambda: jnp.fft.fft(self._floats("signal", 1021)),
            "argsort.ties": lambda: jnp.argsort(jnp.asarray(self._make.integers("ties", 1001, below=97))),
            "conv2d": lambda: jax.lax.conv(
                self._floats("x", 3, 5, 33, 31), self._floats("w", 8, 5, 3, 3), (1, 1), "SAME"
            ),
            "grad.jit": lambda: jax.jit(jax.grad(loss))(self._floats("w", 33, 17)),
        }

    def _random(self) -> dict[str, Operation]:
        random = self.framework.random

        def key() -> Any:
            return random.PRNGKey(_SEED)

        return {
            "random.normal": lambda: random.normal(key(), (1001,)),
            "random.uniform": lambda: random.uniform(key(), (1001,)),
            "random.permutation": lambda: random.permutation(key(), 1001),
        }


SUITE = Jax
