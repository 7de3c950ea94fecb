"""A notebook's kernel: seeded again before its first cell.

Until then it draws from ``random``: for each port that it tries, and for the tip that it sends whenever
a client asks who it is. How often, depends on the machine and on the client.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def after_import(module: Any) -> None:
    """Have the kernel seed every framework again before the first code that it executes."""
    from envlock.runtime import frameworks, processes

    kernel = module.IPythonKernel
    execute = kernel.do_execute
    begun: list[bool] = []

    def seeded_execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not begun:
            begun.append(True)
            frameworks.reseed(forked=False)
        return execute(self, *args, **kwargs)

    processes.replace(kernel, "do_execute", execute, seeded_execute)
