"""Walking site-packages for what no distribution owns (:mod:`envlock.capture.orphans` has the rules).

A directory is decided on when all of it was seen: where nothing in it is owned, with its parent. What
waits for a decision is bounded, so memory does not grow with the number of files on disk.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from envlock.capture import own_runtime
from envlock.capture.editable import path_lines, text_of
from envlock.capture.source_tree import import_name, is_importable
from envlock.runtime.layout import HOOK_NAME

_DEEPEST = 100
_METADATA = (".dist-info", ".egg-info", ".egg-link")
_CACHES = frozenset({"__pycache__", ".ipynb_checkpoints"})
_OF_INSTALLERS = frozenset(
    {
        *("distutils-precedence.pth", "_virtualenv.py", "_virtualenv.pth", "easy-install.pth"),
        *("setuptools.pth", "README.txt", "README", ".gitignore", ".lock"),
    }
)
_BYTECODE = (".pyc", ".pyo")
_ARCHIVE = "is an archive of code, which no wheel holds: install its project with pip"
_NO_CODE = "belongs to no distribution and is no Python code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is still code, and how much is said of it."""

    directory: int = 20_000
    """Files that one directory may hold."""
    carried: int = 100_000
    """Files in all."""
    named: int = 200
    """Gaps of one kind."""


@dataclass(slots=True)
class _Pile:
    """What lies below a directory that no decision has been made on yet."""

    most: int
    files: list[str] = field(default_factory=list)
    """Orphans in the directory itself, at most ``most``."""
    count: int = 0
    """Orphans in it and below."""
    importable: bool = False
    owned: bool = False

    def take(self, entry: "os.DirEntry[str]", *, owned: bool) -> None:
        """Count a file; one that some distribution has is no orphan, and makes the directory owned."""
        self.owned |= owned and not entry.name.endswith(_BYTECODE)
        if owned:
            return
        self.count += 1
        self.importable |= is_importable(entry.name)
        if len(self.files) < self.most:
            self.files.append(entry.path)

    def merge(self, other: "_Pile") -> None:
        """Count what lies in a directory below."""
        self.count += other.count
        self.importable |= other.importable


@dataclass(slots=True)
class Found:
    """What a lock will say of the orphans."""

    limits: Limits
    carried: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name in the wheel → (path, what stands for it in the gaps)."""
    named: list[tuple[str, str]] = field(default_factory=list)
    """(What, why it is left out)."""
    count: int = 0

    @property
    def too_many(self) -> bool:
        """Tell whether these are more files than code has."""
        return self.count > self.limits.carried

    def take(self, name: str, path: str, shown: str) -> None:
        """Carry a file; too many are only counted, and none of them will be carried."""
        self.count += 1
        if not self.too_many:
            self.carried.setdefault(name, (path, shown))


class Scan:
    """One walk of a site-packages directory."""

    def __init__(self, site: str, owned: frozenset[str], found: Found) -> None:
        self._site = site
        self._owned = owned
        self._found = found
        self._most = found.limits.directory

    def run(self, hidden: frozenset[str]) -> None:
        """Look through all but the import names that an earlier directory of sys.path hides."""
        top, below = _Pile(self._most), []
        for entry in _entries(self._site):
            if _is_of_installers(entry.name) or import_name(entry.name) in hidden:
                continue
            if _is_directory(entry):
                real = self._followed(entry, (self._site,))
                pile = self._directory(entry.path, (self._site, real)) if real is not None else None
                below.append((entry.path, pile or _Pile(self._most)))
            elif _is_file(entry):
                top.take(entry, owned=self._is_owned(entry, self._site))
            else:
                self._neither(entry, self._site)
        self._decide(self._site, top, below)

    def _directory(self, directory: str, above: tuple[str, ...]) -> _Pile | None:
        """Return what is below ``directory``; None when some of it is owned, and all is decided on."""
        pile, undecided = _Pile(self._most), []
        for entry in _entries(directory):
            if entry.name in _CACHES:
                continue
            if _is_directory(entry):
                real = self._followed(entry, above)
                if real is not None:
                    inner = self._directory(entry.path, (*above, real))
                    pile.owned |= inner is None
                    undecided.append((entry.path, inner or _Pile(self._most)))
            elif _is_file(entry):
                pile.take(entry, owned=self._is_owned(entry, above[-1]))
            else:
                self._neither(entry, above[-1])
        if pile.owned:
            self._decide(directory, pile, undecided)
            return None
        for _, inner in undecided:
            pile.merge(inner)
        # Its files are walked again if they are taken: piles that wait must stay small.
        pile.files.clear()
        return pile

    def _decide(self, directory: str, pile: _Pile, below: list[tuple[str, _Pile]]) -> None:
        """Take what lies beside the files of a distribution, each thing by itself."""
        if pile.count > self._most:
            self._found.named.append((f"{self._name(directory)}/", _too_many(pile.count)))
        else:
            for path in pile.files:
                self._single(path)
        for path, inner in below:
            self._whole(path, inner)

    def _below(self, directory: str, above: tuple[str, ...]) -> Iterator[str]:
        """Yield the orphans of a directory in which nothing is owned."""
        for entry in _entries(directory):
            if _is_directory(entry) and entry.name not in _CACHES:
                real = self._followed(entry, above)
                if real is not None:
                    yield from self._below(entry.path, (*above, real))
            elif _is_file(entry) and not self._is_owned(entry, above[-1]):
                yield entry.path

    def _followed(self, entry: "os.DirEntry[str]", above: tuple[str, ...]) -> str | None:
        """Return the real path of a directory to look into; a link out of the site only to a package."""
        if len(above) > _DEEPEST:
            return None
        if not entry.is_symlink():
            return f"{above[-1]}/{entry.name}"
        real = os.path.realpath(entry.path)
        if real in above:
            if not self._is_owned(entry, above[-1]):
                self._found.named.append((self._name(entry.path), "is a link to a directory that it lies in"))
            return None
        if real.startswith(f"{self._site}/") or os.path.isfile(f"{real}/__init__.py"):
            return real
        self._found.named.append((self._name(entry.path), "is a link that leads out of site-packages"))
        return None

    def _neither(self, entry: "os.DirEntry[str]", real: str) -> None:
        """Name a pipe, a socket, a device, or a link that leads nowhere."""
        if not self._is_owned(entry, real):
            self._found.named.append((self._name(entry.path), "is neither a file nor a directory"))

    def _is_owned(self, entry: "os.DirEntry[str]", real: str) -> bool:
        """Tell whether a distribution has the file, or its source where it is bytecode."""
        name = entry.name
        if name.endswith(_BYTECODE) and os.path.exists(os.path.splitext(entry.path)[0] + ".py"):
            return True
        return entry.path in self._owned or f"{real}/{name}" in self._owned

    def _whole(self, directory: str, pile: _Pile) -> None:
        name = f"{self._name(directory)}/"
        if pile.count > self._most:
            self._found.named.append((name, _too_many(pile.count)))
        elif pile.importable and not os.path.basename(directory).startswith("~"):
            for path in self._below(directory, (self._site, os.path.realpath(directory))):
                self._take(path, name)
        elif pile.count:
            many = "1 file" if pile.count == 1 else f"{pile.count} files"
            self._found.named.append((f"{name} ({many})", _NO_CODE))

    def _single(self, path: str) -> None:
        name = self._name(path)
        if name.endswith(".pth") and "/" not in name:
            self._path_file(path, name)
        elif is_importable(name):
            self._take(path, name)
        else:
            self._found.named.append((name, _ARCHIVE if name.endswith(".egg") else _NO_CODE))

    def _path_file(self, path: str, name: str) -> None:
        text = text_of(Path(path))
        lines = path_lines(text)
        if own_runtime.is_hook(name, text):
            return
        if name == HOOK_NAME:
            # An image has its own there, and takes no other.
            self._found.named.append((name, "has the name of envlock's own hook"))
        elif any(not line.startswith("/") for line in lines):
            self._take(path, name)

    def _take(self, path: str, shown: str) -> None:
        self._found.take(self._name(path), path, shown)

    def _name(self, path: str) -> str:
        return path.removeprefix(f"{self._site}/") if path != self._site else os.path.basename(path)


def _is_of_installers(name: str) -> bool:
    return name in _OF_INSTALLERS or name in _CACHES or name.endswith(_METADATA)


def _too_many(count: int) -> str:
    return f"belongs to no distribution and holds {count} files, too many to be code"


def _entries(directory: str) -> Iterator["os.DirEntry[str]"]:
    # In the directory's own order: what is found is sorted by name, and no list holds a million names.
    try:
        with os.scandir(directory) as entries:
            yield from entries
    except OSError:
        return


def _is_directory(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
