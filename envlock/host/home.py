"""The home directory of whoever runs envlock."""

import os
from collections.abc import Mapping
from pathlib import Path


def home_directory(environ: Mapping[str, str]) -> Path:
    """Return HOME, or the account's; ``/`` where there is neither, as container engines say then."""
    found = environ.get("HOME") or os.path.expanduser("~")
    return Path(found if found != "~" else "/")
