"""The OS package database of the captured system: who owns a path, what a package lists.

One interface, an implementation a file beside it (``packages_dpkg``, ``packages_rpm``,
``packages_apk``); ``packages_select`` picks. On a merged /usr, ``/lib/x`` and ``/usr/lib/x`` are one
file and databases hold both spellings: paths here are the real ones.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import dirname, join, normpath

from envlock.host.store import Store
from envlock.lock.model import PackageManager, SystemPackage

# Top directories that distributions have turned into links. Fedora's and Arch's /usr/sbin is one too, and
# first, since /sbin leads there.
_MERGED = ("usr/sbin", "bin", "lib", "lib32", "lib64", "libx32", "sbin")

Aliases = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OsPackage:
    """An installed package. ``version`` is whole: epoch and release are in it."""

    key: str
    """Unique in its database: ``libc6:amd64``, ``dash``."""
    name: str
    version: str
    architecture: str
    manager: PackageManager
    status: str
    """What the manager's database says of it, as the image's database repeats it."""

    @property
    def described(self) -> SystemPackage:
        """The lock's value, without what only an archive's index knows."""
        return SystemPackage(
            name=self.name, version=self.version, architecture=self.architecture, manager=self.manager
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Database(ABC):
    """A package database below ``root``."""

    root: Path = Path("/")
    packages: dict[str, OsPackage] = field(default_factory=dict)
    """By key."""
    owners: dict[str, str] = field(default_factory=dict)
    """Real path → key of the package. Of several owners (directories), the first in key order."""
    aliases: Aliases = ()
    """(``/lib``, ``/usr/lib``) for each merged directory."""
    store: Store | None = None
    """Remembers what was found out about packages' files, for as long as they stay as they are."""

    def real(self, path: str) -> str:
        """Return ``path`` with a merged top directory replaced by its real one."""
        return real(path, self.aliases)

    def owner(self, path: str) -> OsPackage | None:
        """Return the package that lists ``path``, in whatever spelling."""
        key = self.owners.get(self.real(path))
        return self.packages[key] if key is not None else None

    def named(self, name: str) -> OsPackage | None:
        """Return the package of this name; of several architectures, the database's first."""
        return next((package for package in self.packages.values() if package.name == name), None)

    @abstractmethod
    def files(self, package: OsPackage) -> tuple[str, ...]:
        """Return the real paths that the package lists (directories may be among them), sorted."""

    @abstractmethod
    def checksums(self, package: OsPackage) -> dict[str, str]:
        """Return real path → ``algorithm:hex`` as the package was built; configuration is not in it."""

    @abstractmethod
    def licences(self, package: OsPackage) -> tuple[str, ...]:
        """Return the paths of its licence texts."""

    def identified(self, packages: Iterable[OsPackage]) -> tuple[SystemPackage, ...]:
        """Return the lock's values with what the archives' indexes on this machine know of each."""
        return tuple(package.described for package in packages)

    def indexes(self) -> tuple[str, ...]:
        """Return all files that the answer of :meth:`identified` depends on; none: it costs nothing."""
        return ()


class Unmanaged(Database):
    """A system whose packages no known manager lists: nothing is owned."""

    __slots__ = ()

    def files(self, package: OsPackage) -> tuple[str, ...]:  # noqa: ARG002 (the interface's)
        """Return nothing."""
        return ()

    def checksums(self, package: OsPackage) -> dict[str, str]:  # noqa: ARG002 (the interface's)
        """Return nothing."""
        return {}

    def licences(self, package: OsPackage) -> tuple[str, ...]:  # noqa: ARG002 (the interface's)
        """Return nothing."""
        return ()


def merged(root: Path) -> Aliases:
    """Return (path, where it leads) of each top directory below ``root`` that is a link to another."""
    found: list[tuple[str, str]] = []
    for name in _MERGED:
        try:
            target = normpath(join("/", dirname(name), os.readlink(root / name)))
        except OSError:
            continue
        found.append((f"/{name}", real(target, tuple(found))))
    return tuple(found)


def real(path: str, aliases: Aliases) -> str:
    """Return ``path`` with the first alias that it lies in replaced."""
    for alias, target in aliases:
        if path.startswith(alias) and path[len(alias) : len(alias) + 1] in ("", "/"):
            return target + path[len(alias) :]
    return path
