"""NumPy: 32 bits to ``numpy.random.seed``, and a seed for whatever asks the system for one.

``default_rng()``, ``SeedSequence()``, ``RandomState()`` and ``numpy.random.seed()`` without a seed all
take entropy from ``numpy.random.bit_generator.randbits``; replaced, it gives child ``gen/<ordinal>``,
the ordinal counting within the process. scikit-learn's and SciPy's ``random_state=None`` use the
legacy generator.

NumPy 1.24 (1.26 no more) shows a warning of features that NPY_DISABLE_CPU_FEATURES names and the CPU lacks,
which under ``portable`` is every AVX-512 feature on most CPUs: that warning alone is not shown.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST_BITS = 256
_LACKED = (
    r"During parsing environment variable 'NPY_DISABLE_CPU_FEATURES':\n"
    r"You cannot disable CPU features \([^)]*\), since they are not supported by your machine"
)


def before_import() -> None:
    """Have NumPy not warn that a feature which is to be off is not there at all."""
    if os.environ.get("NPY_DISABLE_CPU_FEATURES"):
        import warnings

        warnings.filterwarnings("ignore", _LACKED, RuntimeWarning)


def after_import(module: Any) -> None:
    """Seed the legacy generator and take over the source of entropy."""
    from envlock.runtime import frameworks
    from envlock.runtime.frameworks import reseeding, unseeded

    module.bit_generator.randbits = _randbits
    original = reseeding.watch(module, "seed", "numpy.random.seed", "numpy")

    def seed(forked: bool) -> None:  # noqa: FBT001 - as frameworks.Seed has it
        unseeded.restart("numpy")
        if not frameworks.inherits(forked=forked):
            original(frameworks.take("numpy", 32))

    frameworks.register("numpy", seed)
    _watch_clock(module)


def _watch_clock(random: Any) -> None:
    """Have a Generator that is seeded with the time of day told of; the classes can't be covered."""
    from envlock.runtime import entropy, processes
    from envlock.runtime.frameworks import reseeding

    # As it was before an earlier import of this module.
    original = getattr(random.default_rng, "__wrapped__", random.default_rng)

    def default_rng(seed: Any = None) -> Any:
        if reseeding.is_time_of_day(seed):
            reseeding.tell_of_clock("default_rng", entropy.jobs_line(sys._getframe(1)))  # noqa: SLF001 - no other way tells who asks
        return original(seed)

    # Pickled by its name in the second.
    for owner in (random, random._generator):  # noqa: SLF001 - as above
        processes.replace(owner, "default_rng", original, default_rng)


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
