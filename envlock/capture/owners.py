"""Whose a shared library is: a conda package's, a wheel's, an OS package's, the interpreter's, nobody's.

Asked in this order: conda's record (pip lists conda's files too), RECORD, the OS package database (which
Debian's Python packages are in), what a wheel without RECORD carries, the interpreter's own prefix.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from envlock.capture import elf
from envlock.capture.conda import Conda
from envlock.capture.packages import Database
from envlock.host.files import stream_digest
from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import Extra, Gap, Pairs

UNOWNED = "unowned"
_REASON = "no package owns this library"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Who may own a library of one environment."""

    database: Database
    conda: Conda = field(default_factory=Conda)
    recorded: Mapping[str, str] = field(default_factory=dict)
    """Path, as it is and with its links resolved → the distribution whose RECORD lists it."""
    carried: Mapping[str, str] = field(default_factory=dict)
    prefix: str | None = None
    """The interpreter's prefix, where no OS package owns the interpreter."""

    def of(self, path: str) -> str:
        """Return ``wheel:NAME``, ``conda:NAME``, ``os:NAME``, ``interpreter`` or ``unowned``."""
        real = os.path.realpath(path)
        conda = self.conda.owner(path)
        if conda is not None:
            return f"conda:{conda.name}"
        for owner in (self._wheel(self.recorded, path, real), self._system(path, real)):
            if owner is not None:
                return owner
        inside = self.prefix is not None and real.startswith(f"{self.prefix}/")
        return self._wheel(self.carried, path, real) or ("interpreter" if inside else UNOWNED)

    @staticmethod
    def _wheel(files: Mapping[str, str], path: str, real: str) -> str | None:
        name = files.get(path) or files.get(real)
        return f"wheel:{name}" if name is not None else None

    def _system(self, path: str, real: str) -> str | None:
        # The link may be a script's (alternatives), its target a package's.
        owner = self.database.owner(real) or self.database.owner(path)
        return f"os:{owner.name}" if owner is not None else None


def owners(
    distributions: Iterable[InstalledDistribution], *, database: Database, conda: Conda, prefix: Path | None
) -> Owners:
    """Return who may own a library. ``prefix``: the interpreter's, None where an OS package owns it."""
    recorded: dict[str, str] = {}
    carried: dict[str, str] = {}
    for one in distributions:
        sites = {str(one.site), os.path.realpath(one.site)}
        names = [entry.path for entry in one.record if ".so" in entry.path]
        recorded |= {os.path.normpath(f"{site}/{name}"): one.name for site in sites for name in names}
        files = [str(file.path) for file in one.carried if ".so" in file.name]
        carried |= {place: one.name for file in files for place in (file, os.path.realpath(file))}
    place = str(prefix) if prefix is not None else None
    return Owners(database=database, conda=conda, recorded=recorded, carried=carried, prefix=place)


def table(libraries: Iterable[str], known: Owners) -> tuple[Pairs, tuple[Gap, ...]]:
    """Return (soname, its owners) of each library, sorted; those that nobody owns are gaps as well.

    One soname may be several files (a wheel's and the system's): its owners are joined by a comma. The
    gap of one that nobody owns carries its SHA-256.
    """
    found: dict[str, set[str]] = {}
    gaps = set()
    for path in libraries:
        one = elf.read(Path(path))
        name = (one.soname if one is not None else None) or os.path.basename(path)
        # No directory, and nothing that is no text: the name is the file's own claim.
        name = os.path.basename(name).encode("utf-8", "replace").decode("utf-8")
        owner = known.of(path)
        found.setdefault(name, set()).add(owner)
        if owner == UNOWNED:
            gaps.add(Gap(subject=name, reason=_REASON, extra=_digest(path)))
    pairs = ((name, ", ".join(sorted(by))) for name, by in found.items())
    return tuple(sorted(pairs)), tuple(sorted(gaps))


def _digest(path: str) -> Extra:
    try:
        with open(path, "rb") as stream:
            return (("sha256", stream_digest(stream).hex),)
    except OSError:
        return ()
