"""numba: compiled code that calls ``np.random`` or ``random`` has generators of its own.

32 bits to each of the two that the thread which imports numba has. Threads of ``prange`` make theirs
when they first ask, from the operating system: the record names that as entropy of native code.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NATIVE = "numba._helperlib"


def after_import(module: Any) -> None:  # noqa: ARG001 - as every framework
    """Seed both generators of this thread."""
    from envlock.runtime import frameworks

    def seed(forked: bool) -> None:  # noqa: FBT001 - as frameworks.Seed has it
        if frameworks.inherits(forked=forked):
            return
        native = import_module(_NATIVE)
        native.rnd_seed(native.rnd_get_np_state_ptr(), frameworks.take("numba", 32))
        native.rnd_seed(native.rnd_get_py_state_ptr(), frameworks.take("numba", 32, ("python",)))

    frameworks.register("numba", seed)
