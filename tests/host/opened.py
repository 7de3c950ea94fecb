"""Which files this process opens."""

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def watching_opened(paths: list[str]) -> Iterator[None]:
    """Append the path of every file that Python code opens within the block to ``paths``.

    No audit hook (PEP 578) tells them: it could not be taken away again, and CPython 3.11 calls it while
    coverage's trace function is installed in a new thread, which fails when two threads begin at once.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in (builtins, io, os):
            patch.setattr(module, "open", _heard(module.open, paths))
        yield


def _heard(opening: Callable[..., Any], paths: list[str]) -> Callable[..., Any]:
    def heard(file: Any, *more: Any, **named: Any) -> Any:
        if isinstance(file, str | os.PathLike):
            paths.append(os.fspath(file))
        return opening(file, *more, **named)

    return heard
