"""A lock as pip's requirements file: every wheel by its hash, nothing to resolve. Pure.

Rules kept here:

* A package of an index is ``name==version``, one that came from a URL ``name @ URL``, one whose wheel
  lies in a directory the path of that file; each with the one SHA-256 that the lock has.
* pip and uv read a path relative to the directory that they are started in, not to this file. So paths
  are relative to the lockfile's directory, and the heading says where to start.
* No option names an index: a lock knows an index's name only. What is not on the public index has that
  name as a comment.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from envlock.lock.identity import environment_id
from envlock.lock.model import Lock, Package
from envlock.runtime.errors import InputError

_PUBLIC = "pypi"
# What would end the word, begin a comment or be replaced by a variable (pip's requirements file format).
_WORD = re.compile(r"(?:[^\s#$\\]|\$(?!\{))+")


def dumps(lock: Lock) -> bytes:
    """Return the requirements file. Raises InputError for a name that the format can't hold."""
    beside = {one.name: f"./{one.wheel.path}" for one in lock.packages if one.wheel.path is not None}
    text = "\n".join((*_heading(lock, has_files=bool(beside)), *lines(lock.packages, beside)))
    return f"{text}\n".encode()


def lines(packages: Iterable[Package], files: Mapping[str, str]) -> Iterator[str]:
    """Yield each package's line, sorted by name. ``files``: where the wheels of these packages lie."""
    for package in sorted(packages, key=lambda one: one.name):
        place = files.get(package.name) or _place(package)
        if not all(map(_WORD.fullmatch, place.split(" @ "))):
            raise InputError(
                "cannot stand in a requirements file",
                where=package.name,
                expected="a place without spaces, '#', '\\' or '${'",
                found=repr(place),
            )
        named = package.index not in (None, _PUBLIC) and package.name not in files
        comment = f"  # on the index {package.index}" if named else ""
        yield f"{place} --hash=sha256:{package.wheel.sha256.hex}{comment}"


def _place(package: Package) -> str:
    if package.source == "index":
        return f"{package.name}=={package.version}"
    return f"{package.name} @ {package.wheel.url}"


def _heading(lock: Lock, *, has_files: bool) -> Iterator[str]:
    yield f"# {lock.python.implementation} {lock.python.version} on {lock.platform}, exported by envlock."
    yield f"# environment-id {environment_id(lock)}"
    yield "# pip install --no-deps --require-hashes -r FILE, or uv pip sync --require-hashes FILE;"
    if has_files:
        yield "# start it in the lockfile's directory: that is what ./ means."
    else:
        yield "# the indexes are those that pip or uv are configured for."
