"""Polars: 64 bits to ``polars.set_random_seed``, from which ``sample`` and ``shuffle`` draw theirs.

Several expressions of one query draw as Polars' threads come to them, and sums are cut among threads
as these are free (polars issue 6157): ``POLARS_MAX_THREADS=1`` (``determinism.py``) settles both.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def after_import(module: Any) -> None:
    """Seed the generator of the whole process."""
    from envlock.runtime import frameworks
    from envlock.runtime.frameworks import reseeding

    set_random_seed = reseeding.watch(module, "set_random_seed", "polars.set_random_seed", "polars")

    def seed(forked: bool) -> None:  # noqa: FBT001 - as frameworks.Seed has it
        if not frameworks.inherits(forked=forked):
            set_random_seed(frameworks.take("polars", 64))

    frameworks.register("polars", seed)
