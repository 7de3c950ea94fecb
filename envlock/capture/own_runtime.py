"""What envlock puts into each image that it builds, told by what it is.

The next image gets the runtime of the envlock that builds it, so a capture carries none. A job's own
package or ``.pth`` file of the same name is something else.
"""

import os
from pathlib import Path

from envlock.runtime.layout import HOOK, HOOK_NAME

_PACKAGE = "envlock"
_STARTED = "runtime/startup.py"
_TOP = frozenset({"__init__.py", "runtime", "__pycache__"})


def is_hook(name: str, text: str) -> bool:
    """Tell whether this is the ``.pth`` file that starts the runtime."""
    return name == HOOK_NAME and text == HOOK


def is_runtime(package: Path) -> bool:
    """Tell whether a package is the runtime alone: envlock as a whole has more, another one other things."""
    if package.name != _PACKAGE or not (package / _STARTED).is_file():
        return False
    return _TOP.issuperset(os.listdir(package))
