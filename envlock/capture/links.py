"""Symbolic links on the way to a file: each must be packed, or the file is not found in the image."""

import os
from dataclasses import dataclass
from posixpath import join, normpath

_LIMIT = 40  # the kernel's own limit (path_resolution(7))


@dataclass(frozen=True, slots=True)
class Resolved:
    """``links`` are the symlinks passed, each by its path without further links in its directories."""

    path: str
    links: tuple[str, ...]


def resolve(path: str) -> Resolved | None:
    """Follow every link of an absolute path, in directories too. None: absent, or links in a circle."""
    links: list[str] = []
    done, rest = "/", normpath(path).split("/")[1:]
    while rest:
        current = join(done, rest.pop(0))
        if not os.path.islink(current):
            done = current
            continue
        links.append(current)
        if len(links) > _LIMIT:
            return None
        parts = normpath(join(done, os.readlink(current))).split("/")[1:]
        done, rest = "/", parts + rest
    return Resolved(done, tuple(dict.fromkeys(links))) if os.path.exists(done) else None
