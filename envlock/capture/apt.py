"""What apt's lists know of an installed package: the SHA-256 of its .deb and the snapshot that has it.

Rules kept here:

* A stanza of ``apt-cache show`` speaks of an installed package when name, version (epoch and ``+bN`` of
  a rebuild included) and architecture are its own. The newest version is never taken for it, and where
  archives offer different files under one version, none is.
* A snapshot is a date in the address of an archive that offers this very version, as ``apt-cache
  madison`` tells. A date in a comment, or in a source that is switched off, is none.

Each program is started once for all packages; without apt nothing is known.
"""

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from envlock.core.digest import Digest
from envlock.host import process
from envlock.lock.model import SystemPackage
from envlock.runtime.errors import UnreachableError

_FIELD = re.compile(r"^(Package|Version|Architecture|SHA256): *(\S+)$", re.MULTILINE)
_SNAPSHOT = re.compile(r"\b\d{8}T\d{6}Z\b")
_SECONDS = 60.0
_DEPENDS = ("etc/apt", "var/lib/apt/lists", "var/lib/dpkg/status")
_SOURCES = ("etc/apt/sources.list", "etc/apt/sources.list.d")

Key = tuple[str, str, str]


def identified(packages: tuple[SystemPackage, ...], root: Path = Path("/")) -> tuple[SystemPackage, ...]:
    """Return the packages with ``sha256`` and ``snapshot`` filled in where apt knows them."""
    digests = deb_digests(packages)
    dates = snapshots(packages) if names_snapshot(root) else {}
    return tuple(
        replace(package, sha256=digests.get(_key(package)), snapshot=dates.get(_key(package)))
        for package in packages
    )


def depends(root: Path = Path("/")) -> tuple[str, ...]:
    """Return all files that an answer depends on: apt's lists and configuration, and apt itself."""
    places = (root / place for place in _DEPENDS)
    below = (file for place in places for file in (place, *sorted(place.rglob("*"))))
    programs = filter(None, [shutil.which("apt-cache")])
    return (*programs, *map(str, below))


def deb_digests(packages: Iterable[SystemPackage]) -> dict[Key, Digest]:
    """Return (name, version, architecture) → SHA-256 of the .deb."""
    found: dict[Key, set[str]] = {}
    for stanza in _ask("show", packages).split("\n\n"):
        fields = dict(_FIELD.findall(stanza))
        if fields.keys() >= {"Package", "Version", "Architecture", "SHA256"}:
            key = (fields["Package"], fields["Version"], fields["Architecture"])
            found.setdefault(key, set()).add(fields["SHA256"])
    return {key: Digest(one) for key, (one, *others) in found.items() if not others}


def snapshots(packages: Iterable[SystemPackage]) -> dict[Key, str]:
    """Return (name, version, architecture) → the earliest snapshot that offers it."""
    chosen = tuple(packages)
    offered: dict[tuple[str, str], set[str]] = {}
    for line in _ask("madison", chosen).splitlines():
        # ``bash | 5.2.15-2+b2 | http://…/20250520T000000Z bookworm/main amd64 Packages``
        name, _, rest = line.partition("|")
        version, _, source = rest.partition("|")
        if source.endswith(" Packages") and (date := _SNAPSHOT.search(source)):
            offered.setdefault((name.strip(), version.strip()), set()).add(date.group())
    return {
        _key(package): min(dates)
        for package in chosen
        if (dates := offered.get((package.name, package.version))) is not None
    }


def names_snapshot(root: Path) -> bool:
    """Does a line of apt's sources that is no comment name a snapshot?"""
    single, directory = (root / place for place in _SOURCES)
    files = (single, *directory.glob("*.list"), *directory.glob("*.sources"))
    lines = (line for file in files for line in _lines(file))
    return any(_SNAPSHOT.search(line.partition("#")[0]) for line in lines)


def _ask(question: str, packages: Iterable[SystemPackage]) -> str:
    # An architecture-independent package has no qualified name.
    names = sorted({f"{one.name}:{one.architecture}".removesuffix(":all") for one in packages})
    if not names:
        return ""
    try:
        # No argument may be taken for an option, whatever a package is called.
        argv = ["apt-cache", question, "--", *names]
        done = process.run(argv, env={**os.environ, "LC_ALL": "C"}, timeout=_SECONDS)
    except UnreachableError:
        return ""
    return done.stdout.decode("utf-8", "replace")


def _key(package: SystemPackage) -> Key:
    return package.name, package.version, package.architecture


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
