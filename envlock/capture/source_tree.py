"""The files of a source directory that imports can reach, as they lie: what a wheel of it would hold.

Rules kept here:

* No build backend is asked (docs/adr/0012): what counts is which names an import finds.
* A package's directory comes whole, data and extension modules built in place included, less what is
  no part of it: version control, caches, virtual environments, metadata of other installs, bytecode
  beside its source, editors' leftovers.
* A link is followed where it stays within ``inside``; one that leads out of it or in a circle, a file
  that can't be read or whose name no wheel can hold, and a secret, are left out and named.
* A directory that is absurdly large is refused as a whole (:class:`TooMuchError`).
"""

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from envlock.capture.confidential import is_confidential
from envlock.lock.environment import CarriedFile
from envlock.lock.model import Gap

MOST_FILES = 100_000
MOST_BYTES = 8 << 30
VERSION_CONTROL = frozenset({".git", ".hg", ".svn", ".bzr", "_darcs", "CVS"})
CACHES = frozenset(
    {
        *("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".cache"),
        *(".tox", ".nox", ".eggs", ".venv", ".ipynb_checkpoints", ".idea", ".vscode", "node_modules"),
    }
)
_METADATA = (".egg-info", ".dist-info", ".egg-link")
_LEFTOVERS = (".swp", "~", ".DS_Store", ".coverage")
ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")
# What says that a directory is a project's root, and what lies in one without being of the package.
_ROOT_MARKS = ("pyproject.toml", "setup.py", "setup.cfg")
_BESIDE_PACKAGES = frozenset({"build", "dist", "setup.py", "conftest.py", "noxfile.py"})
_DEEPEST = 100
_NAMED = 3
_NAMESPACE_DEPTH = 2  # google/cloud/NAME
_MODULES = (".py", ".so", ".pyc")


class TooMuchError(Exception):
    """A source directory holds more than any package; the text says how much is allowed."""


@dataclass(slots=True)
class Collected:
    """What was found so far, by name in the wheel; ``refused`` are (what was left out, why)."""

    files: dict[str, Path] = field(default_factory=dict)
    refused: list[tuple[str, str]] = field(default_factory=list)
    size: int = 0

    def add(self, name: str, path: Path) -> None:
        """Take a file, the first of a name. Raises TooMuchError."""
        if name in self.files:
            return
        self.files[name] = path
        self.size += path.stat().st_size
        if len(self.files) > MOST_FILES or self.size > MOST_BYTES:
            raise TooMuchError(f"more than {MOST_FILES} files or {MOST_BYTES >> 30} GiB")

    @property
    def carried(self) -> tuple[CarriedFile, ...]:
        """The files, sorted by name."""
        return tuple(CarriedFile(name=name, path=self.files[name]) for name in sorted(self.files))


def gaps(subject: str, found: Collected) -> tuple[Gap, ...]:
    """Return what was left out of a package, one gap for each reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in sorted(found.refused):
        by_reason.setdefault(reason, []).append(name)
    return tuple(
        Gap(subject=subject, reason=f"left out: {_some(names)} {reason}")
        for reason, names in by_reason.items()
    )


def is_project_root(directory: Path) -> bool:
    """Tell whether ``directory`` holds a project rather than only its packages."""
    return any((directory / mark).exists() for mark in _ROOT_MARKS)


def is_importable(name: str) -> bool:
    """Tell whether a file of this name is a module, a sourceless or an extension one included."""
    return name.endswith(_MODULES)


def import_name(name: str) -> str:
    """Return what an import calls a file or directory: ``_c`` of ``_c.cpython-311-x86_64-linux-gnu.so``."""
    return name.partition(".")[0]


def top_level(root: Path) -> Iterator[Path]:
    """Yield the modules and packages of a directory on sys.path, sorted by name.

    In a project's root a directory without ``__init__.py`` counts as a namespace package only with a package
    in it (else it is documentation, scripts, data); elsewhere wherever it has a module in it.
    """
    at_root = is_project_root(root)
    for path in sorted(_entries(root)):
        if not import_name(path.name).isidentifier() or (at_root and path.name in _BESIDE_PACKAGES):
            continue
        if path.is_dir():
            found = _has_package(path, _NAMESPACE_DEPTH) if at_root else _has_module(path)
            if path.name.isidentifier() and found and not _is_left_out(path):
                yield path
        elif is_importable(path.name) and path.is_file() and not _is_left_out(path):
            yield path


def named(root: Path, names: Collection[str]) -> Iterator[Path]:
    """Yield the modules and packages of ``root`` that have one of these import names, sorted."""
    for path in sorted(_entries(root)):
        if path.is_dir():
            if path.name in names:
                yield path
        elif import_name(path.name) in names and is_importable(path.name):
            yield path


def collect(path: Path, name: str, inside: Path, into: Collected) -> None:
    """Add the module ``path``, or the package directory and all below it, under ``name``.

    ``inside`` is the directory that links must not leave. Raises TooMuchError.
    """
    _visit(path, name, os.path.realpath(inside), (), into)


def _visit(path: Path, name: str, inside: str, above: tuple[str, ...], into: Collected) -> None:
    real = os.path.realpath(path)
    fault = _fault(path, name, real, inside, above)
    if fault is not None:
        into.refused.append((_shown(name), fault))
    elif os.path.isdir(real):
        if not above or not _is_left_out(path):
            for child in sorted(_entries(path)):
                _visit(child, f"{name}/{child.name}", inside, (*above, real), into)
    elif _is_regular(real) and not _is_left_out(path):
        into.add(name, path)


def _fault(path: Path, name: str, real: str, inside: str, above: tuple[str, ...]) -> str | None:
    """Return why the file or directory is not carried, or None."""
    if not name.isprintable() or "\\" in name:
        return "has a name that no wheel can hold"
    if len(above) > _DEEPEST:
        return "lies too deep"
    if path.is_symlink() and (fault := _link_fault(real, inside, above)) is not None:
        return fault
    if not os.access(real, os.R_OK | (os.X_OK if os.path.isdir(real) else 0), effective_ids=True):
        return "can't be read"
    return "holds a secret" if os.path.isfile(real) and is_confidential(path) else None


def _link_fault(real: str, inside: str, above: tuple[str, ...]) -> str | None:
    if real in above:
        return "is a link that leads in a circle"
    if not os.path.exists(real):
        return "is a link to nothing"
    within = (f"{inside}/", *(f"{one}/" for one in above[:1]))
    return None if real.startswith(within) else "is a link that leads out of the source directory"


def _is_left_out(path: Path) -> bool:
    name = path.name
    if path.is_dir():
        return (
            name in VERSION_CONTROL
            or name in CACHES
            or name.endswith(_METADATA)
            or any((path / mark).exists() for mark in ENVIRONMENT_MARKS)
        )
    if name.endswith((".pyc", ".pyo")):
        return path.with_suffix(".py").exists()
    return name in VERSION_CONTROL or name.endswith((*_METADATA, *_LEFTOVERS))


def _is_package(directory: Path) -> bool:
    return any(
        import_name(path.name) == "__init__" and is_importable(path.name) for path in _entries(directory)
    )


def _has_package(directory: Path, depth: int) -> bool:
    if _is_package(directory):
        return True
    inner = (path for path in _entries(directory) if path.is_dir() and not path.is_symlink())
    return depth > 0 and any(_has_package(path, depth - 1) for path in inner if not _is_left_out(path))


def _has_module(directory: Path, depth: int = 0) -> bool:
    if depth > _DEEPEST or _is_left_out(directory):
        return False
    entries = _entries(directory)
    if any(is_importable(path.name) for path in entries):
        return True
    return any(_has_module(path, depth + 1) for path in entries if path.is_dir() and not path.is_symlink())


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)[1:-1]
