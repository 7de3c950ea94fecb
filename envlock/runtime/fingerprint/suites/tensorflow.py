"""TensorFlow on the CPU: elementwise functions, products, reductions, linear algebra, random streams."""

from __future__ import annotations

import os

from envlock.runtime.fingerprint.suites import tensorflow_layers
from envlock.runtime.fingerprint.suites.arrays import Arrays
from envlock.runtime.fingerprint.suites.suite import Suite, each, prefixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from envlock.runtime.fingerprint.suites.suite import Leaf, Named, Operation

SEED = 20_240_607
_ELEMENTS = 50_021
_SYMMETRIC = {
    **dict.fromkeys(("math.exp", "math.sin"), 64.0),
    **dict.fromkeys(("math.tanh", "math.sigmoid", "nn.gelu", "nn.silu", "math.softplus", "nn.elu"), 8.0),
    "math.erf": 4.0,
}
_POSITIVE = ("math.log", "math.log1p", "math.sqrt", "math.rsqrt", "math.lgamma")
_REDUCTIONS = ("reduce_sum", "reduce_mean", "reduce_variance", "cumsum", "reduce_logsumexp")


class TensorFlow(Suite):
    """TensorFlow's operations, eagerly and on the CPU, whatever devices there are."""

    name = "tensorflow"
    module = "tensorflow"

    def __init__(self) -> None:
        """Import TensorFlow and NumPy."""
        from importlib import import_module

        super().__init__()
        self.numpy: Any = import_module("numpy")
        self.make = Arrays(self.numpy)

    def kernels(self) -> str:
        """Return the number of threads and whether oneDNN serves; TensorFlow does not tell its kernels."""
        threads = os.environ.get("TF_NUM_INTRAOP_THREADS") or "the machine's"
        return f"oneDNN {os.environ.get('TF_ENABLE_ONEDNN_OPTS', 'default')}, {threads} threads"

    def reseed(self) -> None:
        """Set the global seed, and with it the count of operations made since."""
        self.framework.random.set_seed(SEED)

    def operations(self) -> Iterator[Named]:
        """Return every operation."""
        parts = (
            prefixed("float32", self._elementwise()),
            self._products(),
            prefixed("float32", self._reductions()),
            prefixed("linalg", self._linear()),
            prefixed("order", self._order()),
            prefixed("random", self._random()),
            tensorflow_layers.operations(self),
        )
        for part in parts:
            for name, operation in part:
                yield f"tensorflow.{name}", self._on_cpu(operation)

    def leaf(self, value: Any) -> Leaf | None:
        """Return dtype, shape and bytes of a tensor, a variable or an array."""
        if isinstance(value, self.framework.IndexedSlices):
            value = self.framework.convert_to_tensor(value)
        if hasattr(value, "numpy"):
            value = value.numpy()
        return super().leaf(value)

    def floats(self, label: str, *shape: int, dtype: str = "float32", scale: float = 1.0) -> Any:
        """Return numbers in [-scale, scale)."""
        wide = "float64" if dtype == "float64" else "float32"
        made = self.framework.constant(self.make.floats(label, *shape, dtype=wide, scale=scale))
        return made if dtype == wide else self.framework.cast(made, dtype)

    def integers(self, label: str, *shape: int, below: int) -> Any:
        """Return int32 numbers in [0, below)."""
        return self.framework.constant(self.make.integers(label, *shape, below=below).astype("int32"))

    def _on_cpu(self, operation: Operation) -> Operation:
        def run() -> object:
            with self.framework.device("/CPU:0"):
                return operation()

        return run

    def _elementwise(self) -> dict[str, Operation]:
        tf = self.framework

        def unary(name: str) -> Any:
            part, _, last = name.rpartition(".")
            function = getattr(getattr(tf, part), last)
            if name in _POSITIVE:
                return function(tf.constant(self.make.units(name, _ELEMENTS, scale=1024.0)))
            return function(self.floats(name, _ELEMENTS, scale=_SYMMETRIC[name]))

        functions = each(unary, (*_SYMMETRIC, *_POSITIVE))
        made = {name.partition(".")[2]: operation for name, operation in functions.items()}
        made["pow"] = lambda: tf.pow(
            tf.constant(self.make.units("a", _ELEMENTS, scale=16.0)), self.floats("b", _ELEMENTS, scale=4.0)
        )
        made["exp.edges"] = lambda: tf.math.exp(tf.constant(self.make.special("float32")))
        return made

    def _products(self) -> Iterator[Named]:
        tf = self.framework

        def matmul(rows: int, inner: int, columns: int, dtype: str = "float32") -> Any:
            return tf.matmul(
                self.floats("a", rows, inner, dtype=dtype), self.floats("b", inner, columns, dtype=dtype)
            )

        yield "float32.matmul.31", lambda: matmul(31, 17, 29)
        yield "float32.matmul.257", lambda: matmul(257, 129, 255)
        yield "float32.matmul.512", lambda: matmul(512, 512, 512)
        yield "float64.matmul.257", lambda: matmul(257, 129, 255, "float64")
        yield "bfloat16.matmul.257", lambda: matmul(257, 129, 255, "bfloat16")
        yield (
            "float32.einsum",
            lambda: tf.einsum("bhqd,bhkd->bhqk", *(self.floats(one, 2, 3, 19, 32) for one in "ab")),
        )

    def _reductions(self) -> dict[str, Operation]:
        math = self.framework.math

        def reduced(name: str) -> Any:
            return getattr(math, name)(self.floats("reduced", _ELEMENTS))

        made = each(reduced, _REDUCTIONS)
        made["reduce_sum.axis0"] = lambda: math.reduce_sum(self.floats("table", 1003, 67), 0)
        made["softmax"] = lambda: self.framework.nn.softmax(self.floats("table", 67, 1003, scale=8.0))
        made["unsorted_segment_sum"] = lambda: math.unsorted_segment_sum(
            self.floats("rows", 1001, 5), self.integers("i", 1001, below=97), 97
        )
        return made

    def _linear(self) -> dict[str, Operation]:
        tf = self.framework
        linalg = tf.linalg

        def square() -> Any:
            return self.floats("square", 65, 65, dtype="float64")

        def spd() -> Any:
            return tf.constant(self.make.positive_definite("spd", 65))

        return {
            "svd": lambda: linalg.svd(self.floats("tall", 97, 65, dtype="float64")),
            "qr": lambda: linalg.qr(self.floats("tall", 97, 65, dtype="float64")),
            "cholesky": lambda: linalg.cholesky(spd()),
            "eigh": lambda: linalg.eigh(spd()),
            "solve": lambda: linalg.solve(square(), self.floats("b", 65, 3, dtype="float64")),
            "inv": lambda: linalg.inv(square()),
            "fft": lambda: tf.signal.fft(tf.constant(self.make.complex("signal", 1021, dtype="complex64"))),
        }

    def _order(self) -> dict[str, Operation]:
        tf = self.framework

        def ties() -> Any:
            return tf.cast(self.integers("ties", 10_007, below=97), tf.float32)

        return {
            "sort": lambda: tf.sort(self.floats("sort", 10_007)),
            "argsort.ties": lambda: tf.argsort(ties()),
            "top_k.ties": lambda: list(tf.math.top_k(ties(), 100)),
        }

    def _random(self) -> dict[str, Operation]:
        random = self.framework.random
        return {
            "normal": lambda: random.normal([1001]),
            "uniform": lambda: random.uniform([1001]),
            "shuffle": lambda: random.shuffle(self.floats("values", 1001)),
            "stateless_normal": lambda: random.stateless_normal([1001], seed=(1, SEED)),
            "Generator.normal": lambda: random.Generator.from_seed(SEED).normal([1001]),
        }


SUITE = TensorFlow
