"""A lock as a plain PEP 751 lockfile, without envlock's tables: for tools that want nothing else. Pure.

What pip and uv install from it is what they install from the lock itself. Paths of wheels that lie
beside the lock stay as they are, relative to the lockfile.
"""

import sys
from typing import Any

import tomli_w

from envlock.lock import codec
from envlock.lock.model import Lock

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def dumps(lock: Lock) -> bytes:
    """Return the lockfile's bytes."""
    document: dict[str, Any] = tomllib.loads(codec.dumps(lock).decode())
    del document["tool"]
    for package in document["packages"]:
        del package["tool"]
    return tomli_w.dumps(document).encode()
