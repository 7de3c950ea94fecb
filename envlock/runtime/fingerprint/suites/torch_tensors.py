"""torch: elementwise functions, reductions, sorting and random streams."""

from __future__ import annotations

from envlock.runtime.fingerprint.suites.suite import each, prefixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from envlock.runtime.fingerprint.suites.suite import Named, Operation
    from envlock.runtime.fingerprint.suites.torch import Torch

# ATen shares work among threads from 32,768 elements on; odd, so that every vector width leaves a tail.
_ELEMENTS = 50_021
# Function → scale of its symmetric argument.
_SYMMETRIC = {
    **dict.fromkeys(("exp", "exp2", "sin", "cos", "tan", "atan", "reciprocal"), 64.0),
    **dict.fromkeys(("expm1", "tanh", "sigmoid"), 8.0),
    **dict.fromkeys(("asin", "erfinv"), 1.0),
    "erf": 4.0,
}
_POSITIVE = ("log", "log1p", "log2", "log10", "sqrt", "rsqrt", "lgamma", "digamma")
_ACTIVATIONS = ("gelu", "silu", "softplus", "mish", "elu", "hardswish")
_AT_EDGES = ("exp", "log", "sqrt", "tanh", "sigmoid")
_REDUCTIONS = ("sum", "mean", "var", "std", "norm", "cumsum", "logsumexp", "prod")


def operations(suite: Torch) -> Iterator[Named]:
    """Yield every operation of this part."""
    yield from prefixed("float32", _elementwise(suite))
    yield from prefixed("float64", _double(suite))
    yield from _small(suite)
    for dtype in ("float32", "float64"):
        yield from prefixed(dtype, _reductions(suite, dtype))
    yield from prefixed("order", _order(suite))
    yield from prefixed("random", _random(suite))


def _elementwise(suite: Torch) -> dict[str, Operation]:
    torch = suite.framework
    functional = torch.nn.functional

    def unary(name: str) -> Any:
        if name in _POSITIVE:
            return getattr(torch, name)(suite.units(name, _ELEMENTS, scale=1024.0))
        return getattr(torch, name)(suite.floats(name, _ELEMENTS, scale=_SYMMETRIC[name]))

    def gelu_tanh() -> Any:
        return functional.gelu(suite.floats("gelu", _ELEMENTS, scale=8.0), approximate="tanh")

    def activated(name: str) -> Any:
        return getattr(functional, name)(suite.floats(name, _ELEMENTS, scale=8.0))

    def at_edges(name: str) -> Any:
        return getattr(torch, name)(suite.special("float32"))

    made = {
        **each(unary, (*_SYMMETRIC, *_POSITIVE)),
        **each(activated, _ACTIVATIONS),
        **{f"{name}.edges": operation for name, operation in each(at_edges, _AT_EDGES).items()},
    }
    made["gelu.tanh"] = gelu_tanh
    made["pow"] = lambda: torch.pow(
        suite.units("a", _ELEMENTS, scale=16.0), suite.floats("b", _ELEMENTS, scale=4.0)
    )
    made["atan2"] = lambda: torch.atan2(suite.floats("a", _ELEMENTS), suite.floats("b", _ELEMENTS))
    made["addcdiv"] = lambda: torch.addcdiv(
        suite.floats("a", _ELEMENTS), suite.floats("b", _ELEMENTS), suite.floats("c", _ELEMENTS)
    )
    made["lerp"] = lambda: torch.lerp(suite.floats("a", _ELEMENTS), suite.floats("b", _ELEMENTS), 0.3)
    return made


def _double(suite: Torch) -> dict[str, Operation]:
    torch = suite.framework

    def computed(name: str) -> Any:
        if name in _POSITIVE:
            return getattr(torch, name)(suite.units(name, _ELEMENTS, dtype="float64", scale=1024.0))
        return getattr(torch, name)(suite.floats(name, _ELEMENTS, dtype="float64", scale=8.0))

    return each(computed, ("exp", "log", "sqrt", "rsqrt", "tanh", "sin", "erf"))


def _small(suite: Torch) -> Iterator[Named]:
    torch = suite.framework
    gelu = torch.nn.functional.gelu
    yield "bfloat16.exp", lambda: torch.exp(suite.floats("exp", _ELEMENTS, dtype="bfloat16", scale=8.0))
    yield "bfloat16.gelu", lambda: gelu(suite.floats("gelu", _ELEMENTS, dtype="bfloat16", scale=8.0))
    yield "bfloat16.sum", lambda: suite.floats("sum", _ELEMENTS, dtype="bfloat16").sum()
    yield "float16.tanh", lambda: torch.tanh(suite.floats("tanh", _ELEMENTS, dtype="float16", scale=4.0))
    yield "complex64.exp", lambda: torch.exp(suite.complex("exp", _ELEMENTS))
    yield "complex64.abs", lambda: torch.abs(suite.complex("abs", _ELEMENTS))


def _reductions(suite: Torch, dtype: str) -> dict[str, Operation]:
    torch = suite.framework

    def reduced(name: str) -> Any:
        values = suite.floats("reduced", _ELEMENTS, dtype=dtype, scale=2.0 if name == "prod" else 1.0)
        return getattr(torch, name)(values, *([0] if name in ("cumsum", "logsumexp") else []))

    made = each(reduced, _REDUCTIONS)
    made["sum.dim0"] = lambda: suite.floats("table", 1003, 67, dtype=dtype).sum(0)
    made["sum.dim1"] = lambda: suite.floats("table", 67, 1003, dtype=dtype).sum(1)
    made["softmax"] = lambda: torch.softmax(suite.floats("table", 67, 1003, dtype=dtype, scale=8.0), 1)
    return made


def _order(suite: Torch) -> dict[str, Operation]:
    torch = suite.framework

    def ties() -> Any:
        return suite.integers("ties", _ELEMENTS, below=97)

    return {
        "sort": lambda: torch.sort(suite.floats("sort", _ELEMENTS)),
        "argsort.ties": lambda: torch.argsort(ties()),
        "argsort.ties.stable": lambda: torch.sort(ties(), stable=True)[1],
        "topk.ties": lambda: torch.topk(ties().to(torch.float32), 100),
        "median": lambda: torch.median(suite.floats("table", 67, 1003), 1),
        "unique": lambda: torch.unique(ties(), return_inverse=True, return_counts=True),
        "scatter_add": lambda: torch.zeros(97, device=suite.device).scatter_add(
            0, ties(), suite.floats("values", _ELEMENTS)
        ),
        "index_add": lambda: torch.zeros(97, 5, device=suite.device).index_add(
            0, ties()[:1001], suite.floats("rows", 1001, 5)
        ),
        "histc": lambda: torch.histc(suite.floats("values", _ELEMENTS), 31),
    }


def _random(suite: Torch) -> dict[str, Operation]:
    torch, device = suite.framework, suite.device

    def initialised() -> Any:
        return torch.nn.init.kaiming_uniform_(torch.empty(63, 65, device=device), a=5**0.5)

    return {
        "rand": lambda: torch.rand(1001, device=device),
        "randn": lambda: torch.randn(1001, device=device),
        # Fewer than 16 numbers come from another algorithm.
        "randn.few": lambda: torch.randn(15, device=device),
        "randn.float64": lambda: torch.randn(1001, dtype=torch.float64, device=device),
        "randint": lambda: torch.randint(0, 1000, (1001,), device=device),
        "randperm": lambda: torch.randperm(1001, device=device),
        "bernoulli": lambda: torch.bernoulli(torch.full((1001,), 0.3, device=device)),
        "multinomial": lambda: torch.multinomial(suite.units("weights", 97), 31),
        "exponential": lambda: torch.empty(1001, device=device).exponential_(),
        "dropout": lambda: torch.nn.functional.dropout(suite.floats("values", _ELEMENTS), 0.3),
        "kaiming_uniform": initialised,
    }
