"""JAX has no global generator: the user's key is ``jax.random.key(seeds.seed("jax"))``.

The seed is reported at import, so that the record tells what that key would be.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def after_import(module: Any) -> None:  # noqa: ARG001 - as every framework
    """Report the seed of this process."""
    from envlock.runtime import frameworks

    def seed(forked: bool) -> None:  # noqa: ARG001, FBT001 - as frameworks.Seed has it
        frameworks.take("jax", 64)

    frameworks.register("jax", seed)
