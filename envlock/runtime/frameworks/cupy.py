"""CuPy: 32 bits in CUPY_SEED, which it reads when its first generator is made.

``cupy.random.seed`` would open the GPU at import. A CUPY_SEED of the user's own is kept; the one that
a parent process of the run set is told from it by ENVLOCK_CUPY_SEED.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_VARIABLE = "CUPY_SEED"
_OURS = "ENVLOCK_CUPY_SEED"


def after_import(module: Any) -> None:  # noqa: ARG001 - as every framework
    """Set the variable for this process."""
    from envlock.runtime import frameworks

    def seed(forked: bool) -> None:  # noqa: FBT001 - as frameworks.Seed has it
        users_own = os.environ.get(_VARIABLE) != os.environ.get(_OURS)
        if not users_own and not frameworks.inherits(forked=forked):
            os.environ[_VARIABLE] = os.environ[_OURS] = str(frameworks.take("cupy", 32))

    frameworks.register("cupy", seed)
