"""Tests of what an ordinary user can't read, which root reads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_NOBODY = 65534


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Be no root within the block; who is none already stays who he is."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
