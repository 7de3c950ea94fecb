"""Debian's package database, read as files.

dpkg's own programs are not asked: one ``dpkg -S`` costs as much as reading the whole database. Rules
(dpkg(1), dpkg-divert(1)): a stanza of /var/lib/dpkg/status counts when its state is ``installed``;
``info/NAME.list`` (``NAME:ARCH.list`` for Multi-Arch: same) names its files; a file of another
package that is diverted lies where the diversion says. Images without dpkg (distroless) keep a stanza
a file below ``status.d``, which is installed by being there, and list files only with their checksums
(``status.d/NAME.md5sums``).
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from envlock.capture import apt
from envlock.capture.packages import Aliases, Database, OsPackage, merged, real
from envlock.lock.model import SystemPackage

_FIELD = re.compile(r"^(Package|Version|Architecture|Status): *(.+)$", re.MULTILINE)
_PACKAGE = re.compile(r"^Package: *(\S+)$", re.MULTILINE)
_STATE = "Status: install ok installed"
_INFO = "var/lib/dpkg/info"
_STANZAS = "var/lib/dpkg/status.d"

Diversions = dict[str, tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DpkgDatabase(Database):
    """A dpkg database. A package's key is the start of its files under info/."""

    diversions: Diversions = field(default_factory=dict)
    """Path → (where it was moved, the package whose file it is not)."""

    def files(self, package: OsPackage) -> tuple[str, ...]:
        """Return the real paths that the package lists (directories too), sorted."""
        paths = _listed(self.root, package.key)
        return tuple(sorted({self._placed(path, package) for path in paths}))

    def checksums(self, package: OsPackage) -> dict[str, str]:
        """Return real path → MD5 as the package was built; configuration files are not in it."""
        pairs = _md5sums(self.root, package.key)
        return {self._placed(path, package): f"md5:{md5}" for path, md5 in pairs}

    def licences(self, package: OsPackage) -> tuple[str, ...]:
        """Return the copyright file, which policy demands of every package."""
        path = f"/usr/share/doc/{package.name}/copyright"
        return (path,) if os.path.isfile(path) else ()

    def identified(self, packages: Iterable[OsPackage]) -> tuple[SystemPackage, ...]:
        """Return the lock's values with SHA-256 and snapshot of those that apt's lists know."""
        described = tuple(package.described for package in packages)
        # This machine's apt has nothing to say of another root.
        return apt.identified(described) if self.root == Path("/") else described

    def indexes(self) -> tuple[str, ...]:
        """Return apt's lists and configuration, and its program: without it nothing is known."""
        return apt.depends()

    def _placed(self, path: str, package: OsPackage) -> str:
        return _placed(path, package.name, self.diversions, self.aliases)


def load(root: Path = Path("/")) -> DpkgDatabase | None:
    """Read the database below ``root``, or return None when there is none."""
    if not any((root / place).is_dir() for place in (_INFO, _STANZAS)):
        return None
    aliases = merged(root)
    diversions = _diversions(root)
    packages = {package.key: package for package in _installed(root)}
    owners: dict[str, str] = {}
    # The first in key order wins, so it comes last. Whole lists at once: a machine has 100,000 paths.
    for key in sorted(packages, reverse=True):
        placed = _all_placed(_listed(root, key), packages[key].name, diversions, aliases)
        owners.update(dict.fromkeys(placed, key))
    return DpkgDatabase(root=root, packages=packages, owners=owners, aliases=aliases, diversions=diversions)


def _installed(root: Path) -> Iterable[OsPackage]:
    info = root / _INFO
    single = _single_stanzas(root)
    for stanza in (*_text(root / "var/lib/dpkg/status").split("\n\n"), *single.values()):
        fields = dict(_FIELD.findall(stanza))
        if not fields.get("Status", "").endswith(" installed") or not fields.keys() >= {"Package", "Version"}:
            continue
        name, architecture = fields["Package"], fields.get("Architecture", "all")
        qualified = f"{name}:{architecture}"
        yield OsPackage(
            key=qualified if (info / f"{qualified}.list").is_file() else name,
            name=name,
            version=fields["Version"],
            architecture=architecture,
            manager="dpkg",
            status=stanza.strip("\n"),
        )


def _single_stanzas(root: Path) -> dict[str, str]:
    """Return name → stanza of packages of an image without dpkg, with the state that dpkg would write."""
    files = sorted((root / _STANZAS).glob("*"))
    texts = (_text(file).strip("\n") for file in files if file.suffix != ".md5sums")
    found = {named.group(1): text for text in texts if (named := _PACKAGE.search(text)) is not None}
    return {name: _PACKAGE.sub(rf"\g<0>\n{_STATE}", text, count=1) for name, text in found.items()}


def _listed(root: Path, key: str) -> list[str]:
    listed = root / _INFO / f"{key}.list"
    if not listed.is_file():
        return [path for path, _ in _md5sums(root, key)]
    # The first line of every list is ``/.``, the root itself.
    return [line for line in _text(listed).split("\n") if len(line) > 2]  # noqa: PLR2004


def _md5sums(root: Path, key: str) -> list[tuple[str, str]]:
    """Return (path, MD5) for each file of a package's checksums."""
    texts = (_text(root / place / f"{key}.md5sums") for place in (_INFO, _STANZAS))
    pairs = (line.split(None, 1) for text in texts for line in text.splitlines() if " " in line)
    return [(f"/{path}", md5) for md5, path in pairs]


def _diversions(root: Path) -> Diversions:
    lines = _text(root / "var/lib/dpkg/diversions").splitlines()
    return {lines[at]: (lines[at + 1], lines[at + 2]) for at in range(0, len(lines) - 2, 3)}


def _all_placed(paths: list[str], name: str, diversions: Diversions, aliases: Aliases) -> Iterable[str]:
    """Return :func:`_placed` of each path, by as few steps as most of them need."""
    starts = tuple(f"{alias}/" for alias, _ in aliases)
    special = {*diversions, *(alias for alias, _ in aliases)}
    for path in paths:
        if path in special or path.startswith(starts):
            yield _placed(path, name, diversions, aliases)
        else:
            yield path


def _placed(path: str, name: str, diversions: Diversions, aliases: Aliases) -> str:
    moved, by = diversions.get(path, (path, name))
    return real(path if by == name else moved, aliases)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
