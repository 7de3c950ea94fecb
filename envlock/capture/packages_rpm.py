"""Red Hat's and SUSE's package database, through the ``rpm`` program: its files have three formats.

Rules (rpm(8), "QUERY OPTIONS"; rpm's tag list): a version is ``[EPOCH:]VERSION-RELEASE``. A file counts
when its state is ``normal``: containers often leave out documentation, and it is no fault that it is not
there. ``%ghost`` files are made while running; they are listed where they exist. Configuration and
ghosts have no checksum to be held to. ``gpg-pubkey`` entries are keys, no packages.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from envlock.capture.packages import Database, OsPackage, merged, real
from envlock.host import process
from envlock.host.files import scratch_directory
from envlock.host.rooted import located
from envlock.runtime.errors import UnreachableError

Ask = Callable[[Path], str | None]
"""Returns what rpm says of the database below a root; None: there is none."""

_MACHINE = Path("/")
_PLACES = ("/usr/lib/sysimage/rpm", "/var/lib/rpm")
# One for each format: SQLite, ndb, Berkeley DB.
_FILES = ("rpmdb.sqlite", "Packages.db", "Packages")
_SECONDS = 120.0

_TAGS = (
    "NAME",
    "VERSION",
    "RELEASE",
    "ARCH",
    "FILEDIGESTALGO",
    "EPOCH",
    "VENDOR",
    "SIZE",
    "SOURCERPM",
    "BUILDTIME",
)
_FORMAT = (
    "P" + "".join(f"\\t%{{{tag}}}" for tag in _TAGS) + "\\n"
    "[F\\t%{FILEFLAGS}\\t%{FILESTATES}\\t%{FILEDIGESTS}\\t%{FILENAMES}\\n]"
)
_CONFIGURATION, _GHOST, _LICENCE = 1, 1 << 6, 1 << 7
_NORMAL = "0"
_NONE = "(none)"
# RFC 4880, section 9.4, by hashlib's names; a package without the tag has MD5.
_ALGORITHMS = {
    _NONE: "md5",
    "1": "md5",
    "2": "sha1",
    "8": "sha256",
    "9": "sha384",
    "10": "sha512",
    "11": "sha224",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    path: str
    flags: int
    checksum: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmDatabase(Database):
    """An rpm database. A package's key is ``NAME-VERSION.ARCHITECTURE``."""

    listed: dict[str, tuple[_File, ...]] = field(default_factory=dict)

    def files(self, package: OsPackage) -> tuple[str, ...]:
        """Return the real paths of the package's files, sorted."""
        return tuple(sorted({file.path for file in self.listed[package.key] if self._counts(file)}))

    def checksums(self, package: OsPackage) -> dict[str, str]:
        """Return real path → checksum as the package was built."""
        return {file.path: file.checksum for file in self.listed[package.key] if file.checksum is not None}

    def licences(self, package: OsPackage) -> tuple[str, ...]:
        """Return the files that the package marks as licences."""
        return tuple(file.path for file in self.listed[package.key] if file.flags & _LICENCE)

    def _counts(self, file: _File) -> bool:
        return not file.flags & _GHOST or os.path.lexists(f"{self.root}/{file.path}")


def load(root: Path = Path("/"), ask: Ask | None = None) -> RpmDatabase | None:
    """Read the database below ``root``, or return None when there is none or nothing is installed.

    ``ask`` says what rpm says, where it was asked before. Raises as :func:`said_of`.
    """
    text = (ask or said_of)(root)
    return None if text is None else _database(root, text)


def said_of(root: Path) -> str | None:
    """Return what the program ``rpm`` says of the database below ``root``, or None when there is none.

    Raises UnreachableError when there is one and rpm can't be started or fails.
    """
    directory = _place(root)
    if directory is None:
        return None
    if root == _MACHINE:
        return _said(directory)
    # Neither --root, under which rpm would load libraries of the root, nor a place that may be read-only:
    # rpm writes locks. Links could lead out of the root, so only files are copied.
    with scratch_directory() as scratch:
        for entry in os.scandir(directory):
            if entry.is_file(follow_symlinks=False):
                shutil.copyfile(entry.path, scratch / entry.name)
        return _said(scratch)


def asked_now(root: Path) -> Ask:
    """Ask of the database below ``root`` and return what will say the same, where rpm is out of reach."""
    try:
        text = said_of(root)
    except UnreachableError as error:
        return partial(_raise, error)
    return lambda _: text


def _raise(error: UnreachableError, _: Path) -> str | None:
    raise error


def _place(root: Path) -> Path | None:
    """Return the directory below ``root`` that holds a database, or None."""
    candidates = (located(root, one) for one in _PLACES)
    return next((one for one in candidates if any((one / name).is_file() for name in _FILES)), None)


def _said(directory: Path) -> str:
    # Absolute, since Debian's rpm has its own idea of the default.
    argv = ["rpm", "--dbpath", str(directory.absolute())]
    argv += ["-qa", "--nodigest", "--nosignature", "--queryformat", _FORMAT]
    done = process.run(argv, env={**os.environ, "LC_ALL": "C"}, timeout=_SECONDS)
    if done.exit_code != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UnreachableError("rpm can't read its database", found=lines[-1] if lines else None)
    return done.stdout.decode("utf-8", "surrogateescape")


def _database(root: Path, text: str) -> RpmDatabase | None:
    aliases = merged(root)
    packages: dict[str, OsPackage] = {}
    listed: dict[str, tuple[_File, ...]] = {}
    for fields, files in _entries(text):
        package = _package(fields)
        if package is None:
            continue
        packages[package.key] = package
        algorithm = _ALGORITHMS.get(fields["FILEDIGESTALGO"])
        listed[package.key] = tuple(
            _file(parts, algorithm, real(parts[3], aliases)) for parts in files if parts[1] == _NORMAL
        )
    owners: dict[str, str] = {}
    for key in sorted(listed):
        for file in listed[key]:
            owners.setdefault(file.path, key)
    ordered = dict(sorted(packages.items()))
    return (
        RpmDatabase(root=root, packages=ordered, owners=owners, aliases=aliases, listed=listed)
        if packages
        else None
    )


def _entries(text: str) -> list[tuple[dict[str, str], list[list[str]]]]:
    """Return the tags of each package with its files: flags, state, digest, path."""
    entries: list[tuple[dict[str, str], list[list[str]]]] = []
    for line in text.split("\n"):
        kind, *parts = line.split("\t", 4 if line.startswith("F") else -1)
        if kind == "P" and len(parts) == len(_TAGS):
            entries.append((dict(zip(_TAGS, parts, strict=True)), []))
        elif kind == "F" and len(parts) == 4 and entries:  # noqa: PLR2004 (the format's fields)
            entries[-1][1].append(parts)
    return entries


def _package(fields: dict[str, str]) -> OsPackage | None:
    name, architecture = fields["NAME"], fields["ARCH"]
    if architecture == _NONE or name == "gpg-pubkey":
        return None
    release = f"{fields['VERSION']}-{fields['RELEASE']}"
    version = release if fields["EPOCH"] == _NONE else f"{fields['EPOCH']}:{release}"
    return OsPackage(
        key=f"{name}-{version}.{architecture}",
        name=name,
        version=version,
        architecture=architecture,
        manager="rpm",
        status=_manifest_line(fields, release),
    )


def _manifest_line(fields: dict[str, str], release: str) -> str:
    """Return a line of /var/lib/rpmmanifest/container-manifest-2, which scanners of images read.

    Its third column is the time of installation, a fact of this machine that no image may carry: 0.
    """
    name, vendor, epoch, size = (fields[tag] for tag in ("NAME", "VENDOR", "EPOCH", "SIZE"))
    number = "0" if epoch == _NONE else epoch
    columns = (name, release, "0", fields["BUILDTIME"], vendor, epoch, size, fields["ARCH"], number)
    return "\t".join((*columns, fields["SOURCERPM"]))


def _file(parts: Iterable[str], algorithm: str | None, path: str) -> _File:
    flags, _, digest, _ = parts
    held = digest and algorithm is not None and not int(flags) & (_CONFIGURATION | _GHOST)
    return _File(path=path, flags=int(flags), checksum=f"{algorithm}:{digest}" if held else None)
