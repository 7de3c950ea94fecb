"""Which files this process opens, told by the interpreter's own audit events (PEP 578)."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_listening: list[list[str]] = []


@contextmanager
def watching_opened(paths: list[str]) -> Iterator[None]:
    """Append the path of every file that is opened within the block to ``paths``."""
    _hook()
    _listening.append(paths)
    try:
        yield
    finally:
        _listening.pop()


@cache
def _hook() -> None:
    # An audit hook can't be taken away, so there is one, which mostly has nobody to tell.
    def heard(event: str, arguments: tuple[object, ...]) -> None:
        if _listening and event == "open" and isinstance(arguments[0], str | os.PathLike):
            for paths in _listening:
                paths.append(os.fspath(arguments[0]))

    sys.addaudithook(heard)
