"""The libraries that objects load: what they need, and what is known to be opened by name meanwhile.

No NEEDED entry leads to a library that is opened by name (dlopen). Where one of images/host.toml's
``dlopen`` entries applies, its libraries come along, found beside their user or where the loader looks.
Of a conda package that is loaded, all libraries come: it is built as one, as an OS package is.
"""

import glob
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from envlock.capture import closure, elf
from envlock.capture.closure import Closure, Search
from envlock.capture.conda import Conda
from envlock.capture.elf import Elf
from envlock.capture.host_definition import HostDefinition, Opened
from envlock.capture.objects import Objects
from envlock.lock.model import CondaPackage


class Reader:
    """Reads each ELF file once, and those of ``known`` not at all."""

    def __init__(self, known: Mapping[str, Elf] | None = None) -> None:
        """Begin with what is ``known``."""
        self._files: dict[str, Elf | None] = dict(known or {})

    def __call__(self, path: str) -> Elf | None:
        """Return the ELF file at ``path``, or None when there is none."""
        if path not in self._files:
            self._files[path] = elf.read(Path(path))
        return self._files[path]

    @property
    def examined(self) -> tuple[frozenset[str], frozenset[str]]:
        """Directories where a library is or would have been, and files that are none."""
        others = {path for path, found in self._files.items() if found is None and os.path.lexists(path)}
        return frozenset(map(os.path.dirname, self._files.keys() - others)), frozenset(others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """How libraries are followed in one environment. Each file is read once."""

    own: Objects
    definition: HostDefinition
    search: Search
    conda: Conda
    program: str | None = None
    """The interpreter, whose process opens what is followed; None for programs of their own."""
    look: Callable[[str], Elf | None] = field(default_factory=Reader)

    def closure(self, roots: Iterable[str]) -> Closure:
        """Resolve, then again with what is opened by name, until nothing is new."""
        start = frozenset(roots)
        provided = self.own.provided
        extra: set[str] = set()
        while True:
            found = closure.resolve(
                start | extra,
                provided=provided,
                look=self.look,
                search=self.search,
                program=self.program,
            )
            opened = self._opened({*found.libraries, *start}) | (self._siblings(found.libraries) - start)
            if opened <= extra:
                return replace(found, libraries=tuple(sorted({*found.libraries, *extra})))
            extra |= opened

    def _opened(self, loaded: Iterable[str]) -> set[str]:
        found = set()
        for path in loaded:
            name = os.path.basename(path)
            for entry in self.definition.opened:
                if fnmatchcase(name, entry.when):
                    found |= self._wanted(entry, os.path.dirname(path))
        return found

    def _wanted(self, entry: Opened, beside: str) -> set[str]:
        places = (beside, *self.search.library_path, *self.search.configured, *self.search.default)
        found: set[str] = set()
        for pattern in entry.wants:
            matching = (glob.glob(f"{glob.escape(place)}/{pattern}") for place in places)
            found |= set(next(filter(None, matching), ()))
        return {path for path in found if os.path.isfile(path)}

    def _siblings(self, loaded: Iterable[str]) -> set[str]:
        packages: set[CondaPackage] = {
            package for path in loaded if (package := self.conda.owner(path)) is not None
        }
        if not packages:
            return set()
        every = (path for path, package in self.conda.libraries.items() if package in packages)
        return {path for path in every if "/site-packages/" not in path and self.look(path) is not None}
