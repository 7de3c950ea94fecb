r"""A project's own code, as the last layer of an image: /work as it lies, less what must not travel.

Which files those are, :mod:`envlock.image.project_tree` says. Rules kept here:

* Owner 0:0, mode 0755 for what its owner may execute and 0644 for the rest, one time; empty directories are
  left out. The tree's digest is the SHA-256 of one line a file, sorted: ``<mode> <sha256> <path>\0``.
* A file that changed since it was looked at is refused.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from envlock.core.digest import Digest
from envlock.host.files import CHUNK
from envlock.host.store import Store
from envlock.oci.layer import Directory, Entry, Stream, write_layer
from envlock.oci.model import Layer
from envlock.oci.path import ImagePath
from envlock.runtime.errors import IntegrityError

COMMENT: Final = "project"
_HOME: Final = ImagePath("/work")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFile:
    """A file of the tree: its path in it, POSIX form, and what it was when it was looked at."""

    name: str
    path: Path
    mode: int
    size: int
    sha256: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTree:
    """The files that are packed, sorted by name."""

    files: tuple[ProjectFile, ...]

    @property
    def digest(self) -> Digest:
        """What stands for the whole tree."""
        lines = (f"{one.mode:o} {one.sha256.hex} {one.name}\0" for one in self.files)
        return Digest.of("".join(lines).encode())

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.files)


def layer(tree: ProjectTree, store: Store) -> Layer:
    """Write the tree's layer into ``store``. Raises IntegrityError for a file that changed meanwhile."""
    home = Entry(path=_HOME, mode=0o1777, content=Directory())
    with store.writing() as sink:
        return write_layer((home, *map(_entry, tree.files)), sink, comment=COMMENT)


def copy_to(tree: ProjectTree, directory: Path) -> None:
    """Write the tree's files below ``directory``. Raises as :func:`layer`."""
    for file in tree.files:
        target = directory / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            stream.writelines(_pieces(file))
        target.chmod(file.mode)


def _entry(file: ProjectFile) -> Entry:
    content = Stream(size=file.size, pieces=lambda: _pieces(file))
    return Entry(path=_HOME / file.name, mode=file.mode, content=content)


def _pieces(file: ProjectFile) -> Iterable[bytes]:
    state, size = hashlib.sha256(), 0
    with file.path.open("rb", buffering=0) as stream:
        while size <= file.size and (piece := stream.read(CHUNK)):
            state.update(piece)
            size += len(piece)
            yield piece
    if state.hexdigest() != file.sha256.hex:
        raise IntegrityError("a file of the project changed while it was packed", where=file.name)
