"""Which line of the job asked for something: the first frame outside libraries and envlock itself.

A frame is a library's where its file lies in the standard library, in a ``site-packages`` or
``dist-packages`` directory, beside this module, or nowhere (frozen modules). Where the whole stack is
libraries (a thread of theirs), the innermost frame stands for it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

_OURS = os.path.dirname(__file__) + os.sep
_STANDARD = os.path.dirname(os.__file__) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
NATIVE = "native code"


def place(frame: FrameType | None) -> str:
    """Return ``file:line`` of the job, seen from ``frame``; ``native code`` where there is no frame."""
    innermost = None
    while frame is not None:
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if not is_library(frame.f_code.co_filename):
            return where
        if not frame.f_code.co_filename.startswith((_OURS, "<frozen ")):
            innermost = innermost or where
        frame = frame.f_back
    return innermost or NATIVE


def module(frame: FrameType | None) -> str:
    """Return the name of the module whose code ``frame`` runs."""
    return NATIVE if frame is None else str(frame.f_globals.get("__name__", NATIVE))


def is_library(path: str) -> bool:
    """Return whether the code of the file ``path`` is no code of the job's own."""
    return path.startswith(_OURS) or is_standard(path) or any(part in path for part in _INSTALLED)


def is_standard(path: str) -> bool:
    """Return whether the file ``path`` belongs to the standard library, frozen modules included."""
    if any(part in path for part in _INSTALLED):
        return False
    return path.startswith((_STANDARD, "<frozen "))
