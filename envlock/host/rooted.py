"""Reading a file system that lies below a directory, as a process whose root it is would read it.

An absolute symbolic link in it means a file of it, and ``..`` above its root is its root
(path_resolution(7)). So nothing outside ``root`` is ever read, whatever its links say: they are the
work of whoever made the image.
"""

import os
from pathlib import Path, PurePath

_LIMIT = 40  # the kernel's own limit on links (path_resolution(7))
_MACHINE = Path("/")


def located(root: Path, path: PurePath | str, *, follow: bool = True) -> Path:
    """Return where the absolute ``path`` of ``root`` lies on this machine, every link on the way followed.

    With ``follow=False`` a link at the end is not followed, so that it can be read itself. What is not
    there, or leads in a circle, is a path at which nothing is. On this machine's own root, ``path``.
    """
    if root == _MACHINE:
        return Path(path)
    done: list[str] = []
    rest = _parts(path)
    links = 0
    while rest:
        name = rest.pop()
        if name == "..":
            del done[-1:]
            continue
        target = None if not rest and not follow else _target(os.path.join(root, *done, name))
        if target is None:
            done.append(name)
            continue
        links += 1
        if links > _LIMIT:
            # A link below a regular file or a missing name: nothing is there either.
            return root.joinpath(*done, name, "...")
        done = [] if target.startswith("/") else done
        rest += _parts(target)
    return root.joinpath(*done)


def _parts(path: PurePath | str) -> list[str]:
    return [part for part in reversed(str(path).split("/")) if part not in ("", ".")]


def _target(place: str) -> str | None:
    try:
        return os.readlink(place)
    except OSError:
        return None
