"""TensorFlow under ``cpu.isa: portable``: no arithmetic that starts from the hardware's estimates.

Its kernels of ``rsqrt`` and ``reciprocal`` begin with the CPU's approximate instructions, whose results
each maker chooses freely; a square root and a division are rounded alike everywhere (IEEE 754). So the
two are written with those, and GELU with ``erf``, as its definition has it, instead of ``erfc``. What the
graph optimizer rewrites into the approximate ones (``x / sqrt(y)``, ``1 / x``) stays as it is written.

What else was measured to differ between CPUs has no such replacement: where it is used, the record and a
line on standard error say so (docs/portability.md).
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_KERNELS = "tensorflow.python.ops.gen_"
_TOLD = {
    "math_ops": ("atan", "atan2", "erfc", "erfinv"),
    "nn_ops": ("fused_batch_norm_v2", "fused_batch_norm_v3"),
}
_SQRT_HALF = 0.7071067811865476
_AS_WRITTEN = {"arithmetic_optimization": False, "constant_folding": False}
_told: set[str] = set()


def prepare(tensorflow: Any) -> None:
    """Replace what can be computed alike on every CPU; watch what can't."""
    math = tensorflow.math

    def rsqrt(x: Any, name: str | None = None) -> Any:
        return tensorflow.divide(1, math.sqrt(x), name=name)

    def reciprocal(x: Any, name: str | None = None) -> Any:
        return tensorflow.divide(1, x, name=name)

    def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Any:  # noqa: FBT001, FBT002 - as TensorFlow has it
        if approximate:
            return exact(features, approximate, name)
        features = tensorflow.convert_to_tensor(features)
        return tensorflow.multiply(0.5 * features, 1 + math.erf(_SQRT_HALF * features), name=name)

    tensorflow.config.optimizer.set_experimental_options(_AS_WRITTEN)
    kernels = import_module(f"{_KERNELS}math_ops")
    _put(tensorflow, kernels, "rsqrt", rsqrt)
    _put(tensorflow, kernels, "reciprocal", reciprocal)
    exact = tensorflow.nn.gelu
    _put(tensorflow, tensorflow.nn, "gelu", gelu)
    for place, names in _TOLD.items():
        module = import_module(f"{_KERNELS}{place}")
        for name in names:
            _put(tensorflow, module, name, _telling(name, getattr(module, name)))


def _telling(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def telling(*args: Any, **kwargs: Any) -> Any:
        if name not in _told:
            _told.add(name)
            _tell(name, sys._getframe(1))  # noqa: SLF001 - no other way tells who called
        return original(*args, **kwargs)

    return telling


def _tell(name: str, frame: Any) -> None:
    from envlock.runtime import callers, spool

    where = callers.place(frame)
    reason = f"{where}: computed differently by CPUs of other makers, in spite of cpu.isa: portable"
    spool.report("gap", f"tensorflow {name}", reason)
    if not os.environ.get("ENVLOCK_QUIET"):
        sys.stderr.write(f"envlock: tensorflow {name}: {reason}\n")


def _put(tensorflow: Any, owner: Any, name: str, replacement: Callable[..., Any]) -> None:
    """Put ``replacement`` in the place of ``owner.name``, and wherever else TensorFlow shows that."""
    from envlock.runtime import processes

    original = getattr(owner, name)
    operations = import_module("tensorflow.python.ops.math_ops")
    for place in (owner, operations, tensorflow, tensorflow.math, tensorflow.nn):
        if _is_same(getattr(place, name, None), original):
            processes.replace(place, name, original, replacement)


def _is_same(found: Any, original: Any) -> bool:
    """Whether ``found`` is the function, or that before a decorator: gradients call it by math_ops."""
    names = [(getattr(one, "__module__", None), getattr(one, "__name__", None)) for one in (found, original)]
    return found is original or (found is not None and names[0] == names[1])
