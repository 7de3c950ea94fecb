"""Debian's package database, read as files: who owns a path, what a package lists, its checksums.

dpkg's own programs are not asked: one ``dpkg -S`` costs as much as reading the whole database. Rules
(dpkg(1), dpkg-divert(1)): a stanza of /var/lib/dpkg/status counts when its state is ``installed``;
``info/NAME.list`` (``NAME:ARCH.list`` for Multi-Arch: same) names its files; a file of another
package that is diverted lies where the diversion says. On a merged /usr, ``/lib/x`` and
``/usr/lib/x`` are one file and both spellings occur in lists; paths here are the real ones.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from envlock.core.digest import Digest
from envlock.host import process
from envlock.lock.model import SystemPackage
from envlock.runtime.errors import UnreachableError

_FIELD = re.compile(r"^(Package|Version|Architecture|Status|SHA256): *(.+)$", re.MULTILINE)
_ALIASES = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
_APT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianPackage:
    """An installed package. ``status`` is its stanza, without the blank line after it."""

    name: str
    version: str
    architecture: str
    status: str
    lists: str
    """The start of its files under info/: ``libc6:amd64`` or ``dash``."""

    @property
    def described(self) -> SystemPackage:
        """The lock's value, without a checksum of the .deb."""
        return SystemPackage(name=self.name, version=self.version, architecture=self.architecture)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A dpkg database below ``root``."""

    root: Path
    packages: dict[str, DebianPackage]
    """By what ``DebianPackage.lists`` says."""
    owners: dict[str, str]
    """Real path → key of the package. Of several owners (directories), the first in name order."""
    aliases: tuple[tuple[str, str], ...]
    """(``/lib``, ``/usr/lib``) for each merged directory."""
    diversions: dict[str, tuple[str, str]]
    """Path → (where it was moved, the package whose file it is not)."""

    def real(self, path: str) -> str:
        """Return ``path`` with a merged top directory replaced by its real one."""
        return _real(path, self.aliases)

    def owner(self, path: str) -> DebianPackage | None:
        """Return the package that lists ``path``, in whatever spelling."""
        key = self.owners.get(self.real(path))
        return self.packages[key] if key is not None else None

    def named(self, name: str) -> DebianPackage | None:
        """Return the package of this name; of several architectures, dpkg's first."""
        return next((package for package in self.packages.values() if package.name == name), None)

    def files(self, package: DebianPackage) -> tuple[str, ...]:
        """Return the real paths that the package lists (directories too), sorted."""
        paths = _listed(self.root, package.lists)
        return tuple(sorted({self._placed(path, package) for path in paths}))

    def checksums(self, package: DebianPackage) -> dict[str, str]:
        """Return real path → MD5 as the package was built; configuration files are not in it."""
        text = _text(self.root / f"var/lib/dpkg/info/{package.lists}.md5sums")
        pairs = (line.split(None, 1) for line in text.splitlines() if " " in line)
        return {self._placed(f"/{path}", package): md5 for md5, path in pairs}

    def _placed(self, path: str, package: DebianPackage) -> str:
        moved, by = self.diversions.get(path, (path, package.name))
        return self.real(path if by == package.name else moved)


def load(root: Path = Path("/")) -> Database | None:
    """Read the database below ``root``, or return None when there is none."""
    if not (root / "var/lib/dpkg/info").is_dir():
        return None
    aliases = _merged(root)
    diversions = _diversions(root)
    packages = {package.lists: package for package in _installed(root)}
    owners: dict[str, str] = {}
    for key in sorted(packages):
        for path in _listed(root, key):
            moved, by = diversions.get(path, (path, ""))
            placed = path if by in ("", packages[key].name) else moved
            owners.setdefault(_real(placed, aliases), key)
    return Database(root=root, packages=packages, owners=owners, aliases=aliases, diversions=diversions)


def deb_digests(packages: Iterable[SystemPackage]) -> dict[tuple[str, str, str], Digest]:
    """Return (name, version, architecture) → SHA-256 of the .deb, for those that apt's lists know.

    One call for all. apt knows the versions that the archive offers now; without apt the answer is empty.
    """
    names = sorted({f"{package.name}:{package.architecture}" for package in packages})
    names = [name.removesuffix(":all") for name in names]
    if not names:
        return {}
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = process.run(["apt-cache", "show", *names], env=environment, timeout=_APT_SECONDS)
    except UnreachableError:
        return {}
    found: dict[tuple[str, str, str], Digest] = {}
    for stanza in done.stdout.decode("utf-8", "replace").split("\n\n"):
        fields = dict(_FIELD.findall(stanza))
        if fields.keys() >= {"Package", "Version", "Architecture", "SHA256"}:
            key = (fields["Package"], fields["Version"], fields["Architecture"])
            found[key] = Digest(fields["SHA256"])
    return found


def _installed(root: Path) -> Iterable[DebianPackage]:
    info = root / "var/lib/dpkg/info"
    for stanza in _text(root / "var/lib/dpkg/status").split("\n\n"):
        fields = dict(_FIELD.findall(stanza))
        if not fields.get("Status", "").endswith(" installed") or "Version" not in fields:
            continue
        name, architecture = fields["Package"], fields.get("Architecture", "all")
        qualified = f"{name}:{architecture}"
        yield DebianPackage(
            name=name,
            version=fields["Version"],
            architecture=architecture,
            status=stanza.strip("\n"),
            lists=qualified if (info / f"{qualified}.list").is_file() else name,
        )


def _listed(root: Path, key: str) -> list[str]:
    # The first line of every list is ``/.``, the root itself.
    return [line for line in _text(root / f"var/lib/dpkg/info/{key}.list").split("\n") if len(line) > 2]  # noqa: PLR2004


def _diversions(root: Path) -> dict[str, tuple[str, str]]:
    lines = _text(root / "var/lib/dpkg/diversions").splitlines()
    return {lines[at]: (lines[at + 1], lines[at + 2]) for at in range(0, len(lines) - 2, 3)}


def _merged(root: Path) -> tuple[tuple[str, str], ...]:
    links = ((name, root / name) for name in _ALIASES)
    return tuple((f"/{name}", f"/usr/{name}") for name, link in links if link.is_symlink())


def _real(path: str, aliases: tuple[tuple[str, str], ...]) -> str:
    for alias, target in aliases:
        if path.startswith(alias) and path[len(alias) : len(alias) + 1] in ("", "/"):
            return target + path[len(alias) :]
    return path


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
