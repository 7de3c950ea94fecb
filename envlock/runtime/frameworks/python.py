"""The standard library's ``random``: 128 bits to ``random.seed``.

Its own at-fork handler re-seeds it from the operating system in every forked child, so it is seeded
again after that, under ``uniform`` too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def after_import(module: Any) -> None:
    """Seed the module's hidden generator."""
    from envlock.runtime import frameworks, processes

    def seed(forked: bool) -> None:  # noqa: ARG001, FBT001 - as frameworks.Seed has it
        module.seed(frameworks.take("python", 128))

    frameworks.register("python", seed)
    processes.watch_forks()
