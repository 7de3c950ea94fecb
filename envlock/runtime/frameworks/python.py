"""The standard library's ``random``: 128 bits to ``random.seed``, and as many to each unseeded Random.

``random.Random()`` and ``random.seed()`` without a value take child ``gen/<ordinal>`` where they would
ask the operating system; ``SystemRandom`` goes on asking it, and so does ``tempfile``, whose names
other users must not guess.

The module's own at-fork handler re-seeds it from the operating system in every forked child, so it is
seeded again after that, under ``uniform`` too.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BITS = 128
_OWN_ENTROPY = "tempfile"
_SYSTEM = "_urandom"


def after_import(module: Any) -> None:
    """Seed the module's hidden generator, and whatever is made without a seed from now on."""
    import os

    from envlock.runtime import frameworks, processes
    from envlock.runtime.frameworks import reseeding, unseeded

    # What SystemRandom and secrets call; imported before us, it is still the system's.
    setattr(module, _SYSTEM, os.urandom)
    _seed_unseeded(module.Random)
    # The module binds its functions to its hidden generator when it is imported.
    hidden = module.seed.__self__
    module.seed = hidden.seed
    reseeding.watch(module, "seed", "random.seed", "python")

    def seed(forked: bool) -> None:  # noqa: ARG001, FBT001 - as frameworks.Seed has it
        unseeded.restart("python")
        hidden.seed(frameworks.take("python", _BITS))

    frameworks.register("python", seed)
    processes.watch_forks()


def _seed_unseeded(random: Any) -> None:
    from envlock.runtime import entropy, processes
    from envlock.runtime.frameworks import reseeding, unseeded

    original = random.seed

    # `a` is the parameter's public name.
    def seed(self: Any, a: Any = None, version: int = 2) -> None:
        # Random(), then Random.__init__, then we.
        caller = sys._getframe(1).f_back  # noqa: SLF001 - no other way tells who asks
        if a is None and (caller is None or caller.f_globals.get("__name__") != _OWN_ENTROPY):
            a = unseeded.entropy("python", _BITS)
        elif reseeding.is_time_of_day(a):
            reseeding.tell_of_clock("random.Random", entropy.jobs_line(sys._getframe(1)))  # noqa: SLF001 - as above
        original(self, a, version)

    processes.replace(random, "seed", original, seed)
