"""The shared objects of the environment: extension modules and libraries in its directories."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from envlock.capture import elf
from envlock.capture.elf import Elf

_NAMED = re.compile(r"\.so(\.[0-9]|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Every ELF file of the environment by path, in name order."""

    found: dict[str, Elf]

    @property
    def provided(self) -> dict[str, str]:
        """Soname (else file name) → path. Of several, the first by path: a rule, not a preference."""
        names: dict[str, str] = {}
        for path, one in self.found.items():
            names.setdefault(one.soname or os.path.basename(path), path)
        return names


def collect(directories: Iterable[Path], without: tuple[str, ...] = ()) -> Objects:
    """Find the shared objects below ``directories``, but not in directories named in ``without``."""
    found: dict[str, Elf] = {}
    for directory in sorted(set(directories)):
        for parent, inner, names in os.walk(directory):
            inner[:] = [name for name in inner if name not in without]
            for name in names:
                path = f"{parent}/{name}"
                if _NAMED.search(name) and path not in found:
                    one = elf.read(Path(path))
                    if one is not None:
                        found[path] = one
    return Objects(found=dict(sorted(found.items())))
