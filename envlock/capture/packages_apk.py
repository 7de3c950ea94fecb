"""Alpine's package database: one text file, a stanza a package, a letter a field.

Rules (apk-tools, doc/apk-v2.5: "Installed database"): ``P`` name, ``V`` version, ``A`` architecture;
``F`` opens a directory, ``R`` names a file in it, ``Z`` is that file's checksum: ``Q1`` and the SHA-1 in
base64, ``Q2`` and the SHA-256. Of a symlink it is that of its target's text. Below ``etc`` lies
configuration, which has no checksum to be held to.
"""

import binascii
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from envlock.capture.packages import Database, OsPackage, merged, real

PLACES = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
_ALGORITHMS = {"Q1": "sha1", "Q2": "sha256"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApkDatabase(Database):
    """An apk database. A package's key is its name."""

    listed: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """Key → real path → checksum."""

    def files(self, package: OsPackage) -> tuple[str, ...]:
        """Return the real paths of the package's files, sorted."""
        return tuple(sorted(self.listed[package.key]))

    def checksums(self, package: OsPackage) -> dict[str, str]:
        """Return real path → checksum as the package was built."""
        return {path: sum_ for path, sum_ in self.listed[package.key].items() if sum_ is not None}

    def licences(self, package: OsPackage) -> tuple[str, ...]:
        """Return licence texts, which most packages keep in a package of their own."""
        start = f"/usr/share/licenses/{package.name}/"
        return tuple(path for path in self.files(package) if path.startswith(start))


def load(root: Path = Path("/")) -> ApkDatabase | None:
    """Read the database below ``root``, or return None when there is none or nothing is installed."""
    text = next((found for name in PLACES if (found := _text(root / name))), "")
    aliases = merged(root)
    packages: dict[str, OsPackage] = {}
    listed: dict[str, dict[str, str | None]] = {}
    for stanza in text.split("\n\n"):
        package = _package(stanza)
        if package is not None:
            packages[package.key] = package
            listed[package.key] = {real(path, aliases): sum_ for path, sum_ in _files(stanza)}
    owners: dict[str, str] = {}
    for key in sorted(listed):
        for path in listed[key]:
            owners.setdefault(path, key)
    return (
        ApkDatabase(root=root, packages=packages, owners=owners, aliases=aliases, listed=listed)
        if packages
        else None
    )


def _package(stanza: str) -> OsPackage | None:
    # The files come last, after the first directory.
    facts, _, _ = stanza.strip("\n").partition("\nF:")
    fields = dict(line.split(":", 1) for line in facts.split("\n") if ":" in line)
    if not fields.keys() >= {"P", "V"}:
        return None
    return OsPackage(
        key=fields["P"],
        name=fields["P"],
        version=fields["V"],
        architecture=fields.get("A", "noarch"),
        manager="apk",
        status=facts,
    )


def _files(stanza: str) -> Iterator[tuple[str, str | None]]:
    directory, path = "", None
    for line in stanza.split("\n"):
        kind, _, value = line.partition(":")
        if kind in ("F", "R") and path is not None:
            yield path, None
            path = None
        if kind == "F":
            directory = f"/{value}" if value else ""
        elif kind == "R":
            path = f"{directory}/{value}"
        elif kind == "Z" and path is not None:
            yield path, None if path.startswith("/etc/") else _checksum(value)
            path = None
    if path is not None:
        yield path, None


def _checksum(value: str) -> str | None:
    algorithm = _ALGORITHMS.get(value[:2])
    try:
        return f"{algorithm}:{b64decode(value[2:], validate=True).hex()}" if algorithm else None
    except binascii.Error:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
