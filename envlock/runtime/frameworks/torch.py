"""torch: 64 bits to ``torch.manual_seed`` (all devices), and its deterministic variants.

``strict`` refuses operations without a deterministic variant, ``warn`` lets them run: torch then
warns, and the warning's operation and the line that called it go to the record.

MKL's vector functions are called once, serially, at import: their first call races when threads make
it together (pytorch issue 188792) and has been seen to be wrong by thousands of ulp.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WARNING = re.compile(r"^(\S+) does not have a deterministic implementation")
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
_SHOW = "_showwarnmsg"


def after_import(module: Any) -> None:
    """Seed every device and set the switches of the run's level."""
    from envlock.runtime import frameworks

    if module.backends.mkl.is_available():
        _warm_up(module)
    level = frameworks.level()
    if level != "none":
        module.use_deterministic_algorithms(mode=True, warn_only=level == "warn")
        module.backends.cudnn.benchmark = False
        module.backends.cudnn.deterministic = True
        _record_warnings()

    def seed(forked: bool) -> None:  # noqa: FBT001 - as frameworks.Seed has it
        if not frameworks.inherits(forked=forked):
            module.manual_seed(frameworks.take("torch", 64))

    frameworks.register("torch", seed)


def _warm_up(torch: Any) -> None:
    for dtype in (torch.float32, torch.float64):
        # Few elements: ATen cuts larger tensors into pieces for its threads.
        values = torch.full((_WARMED_ELEMENTS,), 0.5, dtype=dtype)
        for name in _VML:
            getattr(torch, name)(values)


def _record_warnings() -> None:
    import warnings

    # The C code calls this one for every warning that is shown; it has no public name.
    show: Any = getattr(warnings, _SHOW)
    if hasattr(show, "__wrapped__"):
        return

    def recorded(message: Any) -> None:
        found = _WARNING.match(str(message.message))
        if found:
            from envlock.runtime import spool

            spool.report("nondeterministic", found.group(1), f"{message.filename}:{message.lineno}")
        show(message)

    recorded.__wrapped__ = show  # type: ignore[attr-defined]  # marks it as ours
    setattr(warnings, _SHOW, recorded)
