"""The files of an interpreter that no OS package owns: what of its prefix goes into the image."""

import os
from pathlib import Path

from envlock.capture.host_definition import HostDefinition, Matches, matcher
from envlock.capture.links import resolve
from envlock.capture.python import Interpreter, target
from envlock.lock.environment import InterpreterTree


def collect(
    interpreter: Interpreter, definition: HostDefinition, libraries: tuple[str, ...]
) -> InterpreterTree:
    """Return the tree: what the definition keeps, and ``libraries`` (absolute paths below the prefix)."""
    prefix = interpreter.base_prefix
    keep = matcher(pattern.replace("{minor}", interpreter.minor) for pattern in definition.interpreter_keep)
    tops = {pattern.partition("/")[0] for pattern in definition.interpreter_keep}
    names = _walk(prefix, sorted(tops), keep, definition.interpreter_exclude)
    for library in libraries:
        names |= _with_links(prefix, library)
    names |= _with_links(prefix, str(interpreter.executable))
    inside = {name for name in names if _stays_inside(prefix, name)}
    return InterpreterTree(
        prefix=prefix, target=target(prefix), files=tuple(sorted(inside | _links_to_itself(prefix)))
    )


def _walk(prefix: Path, tops: list[str], keep: Matches, exclude: tuple[str, ...]) -> set[str]:
    excluded = matcher(exclude)
    # A directory all of whose files are excluded is not even entered: site-packages is the big one.
    pruned = matcher(pattern[:-2] for pattern in exclude if pattern.endswith("/*"))
    found: set[str] = set()
    for top in tops:
        for parent, directories, files in os.walk(prefix / top):
            place = os.path.relpath(parent, prefix)
            directories[:] = [name for name in directories if not pruned(f"{place}/{name}")]
            linked = [name for name in directories if os.path.islink(f"{parent}/{name}")]
            paths = (f"{place}/{name}" for name in files + linked)
            found.update(path for path in paths if keep(path) and not excluded(path))
    return found


def _with_links(prefix: Path, path: str) -> set[str]:
    """Return ``path`` and the links on the way to it, those below the prefix, relative to it."""
    resolved = resolve(path)
    ways = (resolved.path, *resolved.links) if resolved is not None else ()
    start = f"{prefix}/"
    return {way.removeprefix(start) for way in ways if way.startswith(start)}


def _stays_inside(prefix: Path, name: str) -> bool:
    """Is this a file, or a link to something below the prefix? A link out of it would dangle."""
    path = f"{prefix}/{name}"
    if not os.path.islink(path):
        return os.path.isfile(path)
    resolved = resolve(path)
    return resolved is not None and resolved.path.startswith(f"{prefix}/")


def _links_to_itself(prefix: Path) -> set[str]:
    """Return the links that lead back to the prefix: compiled-in paths of a moved one go through them."""
    with os.scandir(prefix) as entries:
        return {entry.name for entry in entries if entry.is_symlink() and os.readlink(entry.path) == "."}
