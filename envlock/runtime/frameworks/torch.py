"""torch: 64 bits to ``torch.manual_seed`` (all devices), and its deterministic variants.

``strict`` refuses operations without a deterministic variant, ``warn`` lets them run: torch then
warns, and the warning's operation and the line that called it go to the record (``nondeterminism.py``).
``torch.seed()`` takes child ``gen/<ordinal>`` where torch would ask the operating system.

MKL's vector functions are called once, serially, at import: their first call races when threads make
it together (pytorch issue 188792) and has been seen to be wrong by thousands of ulp. Before that,
``mkl.py`` chooses MKL's kernels.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The functions that ATen sends to MKL VML (aten/src/ATen/cpu/vml.h).
_VML = [
    "acos",
    "asin",
    "atan",
    "cos",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "expm1",
    "log",
    "log10",
    "log1p",
    "log2",
    "sin",
    "sqrt",
    "tan",
    "tanh",
]
_WARMED_ELEMENTS = 8


def after_import(module: Any) -> None:
    """Seed every device and set the switches of the run's level."""
    from envlock.runtime import frameworks
    from envlock.runtime.frameworks import mkl, nondeterminism, reseeding, unseeded

    if module.backends.mkl.is_available():
        mkl.after_import()
        _warm_up(module)
    level = frameworks.level()
    if level != "none":
        module.use_deterministic_algorithms(mode=True, warn_only=level == "warn")
        module.backends.cudnn.benchmark = False
        module.backends.cudnn.deterministic = True
        nondeterminism.record_warnings()

    manual_seed = reseeding.watch(module, "manual_seed", "torch.manual_seed", "torch")
    _seed_unseeded(module, manual_seed)

    def seed(forked: bool) -> None:  # noqa: FBT001 - as frameworks.Seed has it
        unseeded.restart("torch")
        if not frameworks.inherits(forked=forked):
            manual_seed(frameworks.take("torch", 64))

    frameworks.register("torch", seed)
    if os.environ.get("ENVLOCK_TRACE_TO"):
        from envlock.runtime.trace import torch as tracing

        tracing.after_import(module)


def _seed_unseeded(torch: Any, manual_seed: Any) -> None:
    from envlock.runtime import processes
    from envlock.runtime.frameworks import unseeded

    def seed() -> int:
        value = unseeded.entropy("torch", 64)
        manual_seed(value)
        return value

    for owner in (torch, torch.random):
        processes.replace(owner, "seed", owner.seed, seed)


def _warm_up(torch: Any) -> None:
    for dtype in (torch.float32, torch.float64):
        # Few elements: ATen cuts larger tensors into pieces for its threads.
        values = torch.full((_WARMED_ELEMENTS,), 0.5, dtype=dtype)
        for name in _VML:
            getattr(torch, name)(values)
