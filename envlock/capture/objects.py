"""The shared objects of the environment: extension modules and libraries in its directories."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from envlock.capture import elf
from envlock.capture.elf import Elf
from envlock.lock.model import Gap

_NAMED = re.compile(r"\.so(\.[0-9]|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Every ELF file of the environment by path, in name order."""

    found: dict[str, Elf]
    gaps: tuple[Gap, ...] = ()
    """Directories that could not be read."""

    @property
    def provided(self) -> dict[str, str]:
        """Soname (else file name) → path. Of several, the first by path: a rule, not a preference."""
        names: dict[str, str] = {}
        for path, one in self.found.items():
            names.setdefault(one.soname or os.path.basename(path), path)
        return names

    def loadable(self, program: Elf | None, *, musl: bool) -> "Objects":
        """Return those that ``program`` can load: of its class and machine, and for its C library.

        Wheels bring objects for other machines and processes along (debugpy: one for 32-bit programs).
        """

        def fits(one: Elf) -> bool:
            same = program is None or (one.bits, one.machine) == (program.bits, program.machine)
            return same and (musl or not any(name.startswith("libc.musl-") for name in one.needed))

        return Objects(found={path: one for path, one in self.found.items() if fits(one)}, gaps=self.gaps)


def collect(directories: Iterable[Path], without: tuple[str, ...] = ()) -> Objects:
    """Find the shared objects below ``directories``, but not in directories named in ``without``."""
    found: dict[str, Elf] = {}
    closed: set[str] = set()
    for directory in sorted(set(directories)):
        for parent, inner, names in os.walk(directory, onerror=lambda error: _note(error, closed)):
            inner[:] = [name for name in inner if name not in (*without, "__pycache__")]
            for name in names:
                path = f"{parent}/{name}"
                if _NAMED.search(name) and path not in found:
                    one = elf.read(Path(path))
                    if one is not None:
                        found[path] = one
    reason = "this directory could not be read, so libraries in it were not followed"
    gaps = tuple(Gap(subject=name, reason=reason) for name in sorted(closed))
    return Objects(found=dict(sorted(found.items())), gaps=gaps)


def _note(error: OSError, closed: set[str]) -> None:
    # One that is not there holds nothing; only its name, since its place may be a home directory.
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        closed.add(os.path.basename(str(error.filename)))
