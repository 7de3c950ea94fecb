"""NumPy: 32 bits to ``numpy.random.seed``, and a seed for whatever asks the system for one.

``default_rng()``, ``SeedSequence()``, ``RandomState()`` and ``numpy.random.seed()`` without a seed all
take entropy from ``numpy.random.bit_generator.randbits``; replaced, it gives child ``gen/<ordinal>``,
the ordinal counting within the process. scikit-learn's and SciPy's ``random_state=None`` use the
legacy generator.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST_BITS = 256


def after_import(module: Any) -> None:
    """Seed the legacy generator and take over the source of entropy."""
    from envlock.runtime import frameworks
    from envlock.runtime.frameworks import reseeding, unseeded

    module.bit_generator.randbits = _randbits
    original = reseeding.watch(module, "seed", "numpy.random.seed")

    def seed(forked: bool) -> None:  # noqa: FBT001 - as frameworks.Seed has it
        unseeded.restart("numpy")
        if not frameworks.inherits(forked=forked):
            original(frameworks.take("numpy", 32))

    frameworks.register("numpy", seed)


def _randbits(bits: int) -> int:
    value = 0
    for start in range(0, bits, _MOST_BITS):
        width = min(_MOST_BITS, bits - start)
        value = value << width | _one(width)
    return value


def _one(bits: int) -> int:
    from envlock.runtime.frameworks import unseeded

    whole = -(-bits // 8) * 8
    return unseeded.entropy("numpy", whole) >> (whole - bits)
