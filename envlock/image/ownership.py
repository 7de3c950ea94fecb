"""Which wheel owns a path that several install: pure.

Rules kept here (docs/image.md): with the same bytes and mode the first normalised name owns
the path. With different ones the installed file decides: a package whose file the capture found
modified has lost it. Where that leaves no single answer, an error names them all. A path that is a
file of one wheel and a directory of another is always an error.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from envlock.runtime.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPaths:
    """What one package installs: ``files`` maps each path in the image to its hash and mode."""

    package: str
    files: Mapping[str, str]
    modified: tuple[str, ...] = ()
    """Paths in the image whose installed bytes were not this package's."""


def left_out(packages: Iterable[InstalledPaths]) -> dict[str, tuple[str, ...]]:
    """Return, for each package that loses any, the paths that its layer leaves out, sorted."""
    ordered = sorted(packages, key=lambda one: one.package)
    claimed: set[str] = set()
    contested: set[str] = set()
    for package in ordered:
        contested |= claimed.intersection(package.files)
        claimed.update(package.files)
    _refuse_mixed_kinds(claimed, ordered)
    losses: dict[str, list[str]] = {}
    for path in sorted(contested):
        claimants = [one for one in ordered if path in one.files]
        winner = _owner(path, claimants)
        for package in claimants:
            if package is not winner:
                losses.setdefault(package.package, []).append(path)
    return {name: tuple(paths) for name, paths in losses.items()}


def _owner(path: str, claimants: list[InstalledPaths]) -> InstalledPaths:
    """Return the owner among ``claimants``, which are sorted by name."""
    unmodified = [one for one in claimants if path not in one.modified] or claimants
    if len({one.files[path] for one in unmodified}) == 1:
        return unmodified[0]
    raise InputError(
        "two packages install different files at one path",
        where=path,
        found=" and ".join(one.package for one in unmodified),
        hint="uninstall one of them, or reinstall the one that should win, and capture again",
    )


def _refuse_mixed_kinds(paths: set[str], packages: Sequence[InstalledPaths]) -> None:
    directories = {path.rpartition("/")[0] for path in paths}
    for directory in tuple(directories):
        parent = directory.rpartition("/")[0]
        while parent and parent not in directories:
            directories.add(parent)
            parent = parent.rpartition("/")[0]
    for path in sorted(directories.intersection(paths)):
        file = next(one for one in packages if path in one.files)
        inside = next(one for one in packages if any(other.startswith(path + "/") for other in one.files))
        raise InputError(
            "a path is a file of one package and a directory of another",
            where=path,
            found=f"{file.package} and {inside.package}",
        )
