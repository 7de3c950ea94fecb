"""Conda's own record of a prefix: ``conda-meta/*.json``, one file a package.

Rules kept here (conda's enhancement proposal on conda-meta; conda, mamba and pixi write the same form):

* A record with a name, a version and a build is a package. One that can't be read is a gap.
* A URL keeps scheme, host and path. User, password, query, fragment and a ``/t/<token>/`` in the path
  are credentials or no part of the place. Of a local channel only the last name stays.
* A file is a package's when its record lists it. A Python distribution is a package's when the record
  lists its directory, and the RECORD (else METADATA) there still has the bytes that conda put there:
  pip installs over conda's files without telling conda.
* A package of which nothing goes along (a program that jobs start, data that it reads) is named in a gap,
  and so are activation scripts, which nobody runs in an image. Headers, texts and tests are no loss.
* ``conda-meta/state`` and ``history`` are never read: they hold variables and command lines of the user.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from envlock.core.digest import Digest
from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import CondaPackage, Gap

_TOKEN = re.compile(r"/t/[^/]+(?=/|$)")
_MD5 = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LIBRARY = re.compile(r"\.so(\.[0-9]|$)")
_SITE = re.compile(r"(^|/)(site|dist)-packages/")
_ACTIVATION = re.compile(r"etc/conda/activate\.d/")
# What no job reads.
_NO_LOSS = re.compile(
    r"(include|conda-meta|info|Menu|etc/conda|lib/(pkgconfig|cmake)|share/(doc|man|info|licenses|gtk-doc))/"
)
_PROOFS = ("RECORD", "METADATA", "PKG-INFO")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conda:
    """What the prefixes' records tell. Paths have every symlink of their directory resolved."""

    packages: tuple[CondaPackage, ...] = ()
    libraries: Mapping[str, CondaPackage] = field(default_factory=dict)
    """Shared library → the package that lists it."""
    distributions: Mapping[str, tuple[CondaPackage, Mapping[str, str]]] = field(default_factory=dict)
    """A ``.dist-info`` or ``.egg-info`` directory → its package, and the SHA-256 of files in it."""
    files: Mapping[CondaPackage, frozenset[str]] = field(default_factory=dict)
    """Package → its files, relative to the prefix."""

    def owner(self, path: str) -> CondaPackage | None:
        """Return the package that lists the shared library ``path``, itself or as what it links to."""
        return self.libraries.get(path) or self.libraries.get(os.path.realpath(path))


def read(prefixes: Iterable[Path]) -> tuple[Conda, tuple[Gap, ...]]:
    """Read the records of each prefix that has any; a prefix named twice is read once."""
    places = dict.fromkeys(Path(os.path.realpath(prefix)) for prefix in prefixes)
    packages: set[CondaPackage] = set()
    libraries: dict[str, CondaPackage] = {}
    distributions: dict[str, tuple[CondaPackage, Mapping[str, str]]] = {}
    listed: dict[CondaPackage, frozenset[str]] = {}
    gaps: list[Gap] = []
    for prefix in places:
        names: set[str] = set()
        real = _Directories(prefix)
        for name, record in _records(prefix, gaps):
            package = _package(record)
            if package is None:
                gaps.append(_gap(name, "its record has no name, version and build"))
                continue
            if package.name in names:
                gaps.append(Gap(subject=package.name, reason="conda-meta has more than one record of it"))
            names.add(package.name)
            packages.add(package)
            files = dict(_files(record))
            libraries |= {real(path): package for path in files if _LIBRARY.search(path)}
            distributions |= _metadata(files, package, real)
            listed[package] = frozenset(files)
    ordered = sorted(packages, key=lambda one: (one.name, one.version, one.build, one.channel, one.url or ""))
    found = Conda(packages=tuple(ordered), libraries=libraries, distributions=distributions, files=listed)
    return found, tuple(gaps)


def left_behind(conda: Conda, carried: Iterable[str]) -> tuple[Gap, ...]:
    """Return what of the packages no image has. ``carried``: paths in the prefix that go along."""
    known = frozenset(carried)
    lost = [one.name for one, files in conda.files.items() if _is_lost(files, known)]
    activating = [one.name for one, files in conda.files.items() if any(map(_ACTIVATION.match, files))]
    reasons = (
        ("packages in no image, since Python loads nothing of them", lost),
        ("activation scripts, which no image runs, may set variables for", activating),
    )
    return tuple(
        Gap(subject="conda", reason=f"{reason}: {', '.join(sorted(names))}")
        for reason, names in reasons
        if names
    )


def _is_lost(files: frozenset[str], carried: frozenset[str]) -> bool:
    if not carried.isdisjoint(files) or any(map(_SITE.search, files)):
        return False
    return not all(map(_NO_LOSS.match, files))


def attach(distributions: Iterable[InstalledDistribution], conda: Conda) -> tuple[InstalledDistribution, ...]:
    """Return the distributions, each with the conda package that put it there, where one did."""
    return tuple(
        replace(one, conda=package) if (package := _brought(one, conda)) is not None else one
        for one in distributions
    )


def public_url(url: str) -> str | None:
    """Return ``url`` without credentials, of a local one its last name; None when it is no URL.

    A channel that is only a name (``conda-forge``) stays as it is.
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return None
    path = _TOKEN.sub("", parts.path).rstrip("/")
    if parts.scheme == "file" or (not parts.scheme and path.startswith(("/", "~", "."))):
        return f"file:{PurePosixPath(path).name}"
    return f"{parts.scheme}://{host}{path}" if parts.scheme else path


class _Directories:
    """Resolves the directory of a listed path once for all files in it: a prefix has 100,000 files."""

    def __init__(self, prefix: Path) -> None:
        self._prefix = str(prefix)
        self._known: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        directory, _, name = path.rpartition("/")
        if directory not in self._known:
            self._known[directory] = os.path.realpath(f"{self._prefix}/{directory}")
        return f"{self._known[directory]}/{name}"


def _records(prefix: Path, gaps: list[Gap]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    directory = prefix / "conda-meta"
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".json"))
    except FileNotFoundError:
        return
    except OSError as error:
        gaps.append(Gap(subject="conda-meta", reason=f"it could not be read: {error.strerror}"))
        return
    for name in names:
        found = _record(directory / name)
        if isinstance(found, Gap):
            gaps.append(found)
        else:
            yield name, found


def _record(path: Path) -> Mapping[str, Any] | Gap:
    try:
        record = json.loads(path.read_bytes())
    except OSError as error:
        return _gap(path.name, f"its record could not be read: {error.strerror}")
    except (ValueError, RecursionError):
        return _gap(path.name, "its record is not JSON")
    return record if isinstance(record, dict) else {}


def _gap(record: str, reason: str) -> Gap:
    return Gap(subject=record.removesuffix(".json"), reason=f"installed by conda; {reason}")


def _package(record: Mapping[str, Any]) -> CondaPackage | None:
    name, version, build = (_text(record, key) for key in ("name", "version", "build"))
    if not name or not version or not build:
        return None
    md5, sha256 = _text(record, "md5").lower(), _text(record, "sha256").lower()
    url = _text(record, "url")
    return CondaPackage(
        name=name,
        version=version,
        build=build,
        channel=_channel(record),
        url=(public_url(url) or None) if url else None,
        sha256=Digest(sha256) if _SHA256.fullmatch(sha256) else None,
        md5=md5 if _MD5.fullmatch(md5) else None,
    )


def _channel(record: Mapping[str, Any]) -> str:
    """Return the channel without its platform directory, which some installers write and others don't."""
    channel = public_url(_text(record, "channel")) or "unknown"
    subdir = _text(record, "subdir")
    return channel.removesuffix(f"/{subdir}") if subdir else channel


def _files(record: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yield each listed path with the SHA-256 that it has in the prefix, where the record tells one."""
    names = record.get("files")
    yield from ((name, None) for name in names if isinstance(name, str)) if isinstance(names, list) else ()
    data = record.get("paths_data")
    paths = data.get("paths") if isinstance(data, dict) else None
    for one in paths if isinstance(paths, list) else ():
        if isinstance(one, dict) and (path := _text(one, "_path")):
            # A file with the prefix written into it has another hash than in the package.
            yield path, _text(one, "sha256_in_prefix") or _text(one, "sha256") or None


def _metadata(
    files: Mapping[str, str | None], package: CondaPackage, real: _Directories
) -> dict[str, tuple[CondaPackage, Mapping[str, str]]]:
    """Return the metadata directories among ``files``. A plain file ``x.egg-info`` counts as one."""
    hashes: dict[str, dict[str, str]] = {}
    for path, sha256 in files.items():
        directory, _, name = path.rpartition("/")
        if directory.endswith((".dist-info", ".egg-info")):
            known = hashes.setdefault(directory, {})
            if sha256 is not None and name in _PROOFS:
                known[name] = sha256
        elif path.endswith(".egg-info"):
            hashes.setdefault(path, {})
    return {real(directory): (package, known) for directory, known in hashes.items()}


def _brought(distribution: InstalledDistribution, conda: Conda) -> CondaPackage | None:
    if not conda.distributions:
        return None
    place = f"{os.path.realpath(distribution.site)}/{distribution.dist_info}"
    package, known = conda.distributions.get(place, (None, {}))
    # The first that conda has a hash of: RECORD names every file, so it differs after any reinstall.
    proof = next((name for name in _PROOFS if name in known), None)
    return package if proof is None or _hash(f"{place}/{proof}") == known[proof] else None


def _hash(path: str) -> str | None:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    return value.strip() if isinstance(value, str) else ""
