"""The order in which imports look: which of several directories a name comes from."""

import os
from collections.abc import Iterable
from pathlib import Path

from envlock.capture.source_tree import import_name, is_importable


class SearchPath:
    """The directories of sys.path, first to last. Listings are read once."""

    def __init__(self, directories: Iterable[Path]) -> None:
        """Keep the directories by their real paths."""
        self._directories = tuple(dict.fromkeys(os.path.realpath(one) for one in directories))
        self._names: dict[str, frozenset[str]] = {}

    def before(self, directory: Path) -> frozenset[str]:
        """Return the import names that a directory ahead of ``directory`` has; namespace packages merge."""
        names: frozenset[str] = frozenset()
        real = os.path.realpath(directory)
        for one in self._directories:
            if one == real:
                break
            names |= self._listed(one)
        return names

    def _listed(self, directory: str) -> frozenset[str]:
        if directory not in self._names:
            self._names[directory] = frozenset(_regular(directory))
        return self._names[directory]


def _regular(directory: str) -> Iterable[str]:
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return
    for entry in entries:
        # Not entry.is_dir(): a link that leads in a circle would raise.
        if os.path.isdir(entry.path):
            if os.path.exists(os.path.join(entry.path, "__init__.py")):
                yield entry.name
        elif is_importable(entry.name):
            yield import_name(entry.name)
