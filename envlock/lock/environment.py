"""What a probe of a live environment hands on: facts, before any hash of a wheel is known.

``capture`` makes these values, ``wheels`` turns distributions into packages, ``image`` packs the
host files into base layers; then the parts become a :class:`envlock.lock.model.Lock`. Paths here
are absolute paths of the captured machine and never reach a lockfile.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from envlock.core.digest import Digest
from envlock.host.reach import Reach
from envlock.lock.model import (
    CondaPackage,
    Cpu,
    CudaLibrary,
    Gap,
    Gpu,
    OperatingSystem,
    Pairs,
    Project,
    Python,
    SystemPackage,
)


class RecordEntry(NamedTuple):
    """A line of RECORD (PEP 376, PEP 627). ``sha256`` is urlsafe base64 without padding, as written.

    A tuple, since environments have 100,000 of them: made and compared in a third of a dataclass's time.
    """

    path: str
    sha256: str | None
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectUrl:
    """``direct_url.json`` (PEP 610), without credentials. ``kind``: archive, vcs or directory."""

    kind: str
    url: str
    sha256: str | None = None
    vcs: str | None = None
    commit: str | None = None
    subdirectory: str | None = None
    editable: bool = False
    local: Path | None = None
    """What a ``file:`` URL names on the captured machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedFile:
    """A file that a distribution is made of although no RECORD lists it.

    ``sha256`` is in RECORD's form where it is known.
    """

    name: str
    """Its path in the wheel, relative to site-packages, POSIX form."""
    path: Path
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledDistribution:
    """A distribution as it lies on disk."""

    name: str
    """Normalised (PEP 503)."""
    raw_name: str
    """As METADATA spells it."""
    version: str
    site: Path
    """The site-packages directory that RECORD's paths are relative to."""
    dist_info: str
    """The directory's name, ``numpy-2.4.6.dist-info``."""
    tags: tuple[str, ...]
    """``Tag:`` lines of WHEEL, sorted; empty when there is no WHEEL file."""
    build: str | None
    """``Build:`` of WHEEL."""
    root_is_purelib: bool
    record: tuple[RecordEntry, ...]
    """Empty when there is no RECORD (egg-info, Debian's)."""
    requires_python: str | None
    installer: str | None
    direct_url: DirectUrl | None
    modified: tuple[str, ...] = ()
    """RECORD paths whose bytes differ from RECORD, or that are missing."""
    modified_digest: Digest | None = None
    """Of their paths and bytes; None where there are none."""
    content_digest: Digest | None = None
    """Of the files in ``site`` that RECORD lists, as they are; None where it lists none."""
    requires: tuple[str, ...] = ()
    """``Requires-Dist`` lines of METADATA, sorted."""
    licences: tuple[str, ...] = ()
    """As :attr:`envlock.lock.model.Package.licences`."""
    conda: CondaPackage | None = None
    """The conda package that put it there, where one did: it is trusted before ``direct_url``."""
    root: Path = Path("/")
    """Where the file system lies that ``site`` is a path of: of an image, its extracted files.

    So its files are read through :func:`envlock.host.rooted.located`.
    """
    editable: bool = False
    """Its code lay in a source directory, and ``carried`` names what is imported from there."""
    carried: tuple[CarriedFile, ...] = ()
    """Its files beside those of ``record``, sorted by name."""
    replaced: tuple[str, ...] = ()
    """Paths of ``record`` that only lead to the carried files (a ``.pth``, an import hook), sorted."""
    origin: Pairs = ()
    """Facts of where it came from beside ``direct_url``: ``commit``, ``dirty``, ``tree``, ``url`` …"""
    obstacle: str | None = None
    """Why no wheel can be made of it, where the capture knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedFile:
    """A file, directory or symlink that an OS package lists and that goes into the base.

    ``checksum`` is what the packer holds its bytes to, as ``algorithm:hex`` in hashlib's names: by the
    package manager's own algorithm (dpkg: md5, rpm: sha256, apk: sha1). None where it keeps none.
    """

    path: str
    checksum: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedPackage:
    """An OS package whose files go into the base, with its text in the package manager's database."""

    package: SystemPackage
    files: tuple[OwnedFile, ...]
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpreterTree:
    """The interpreter when no OS package owns it: the directories and files to carry.

    ``prefix`` is where it lies on the captured machine; ``target`` where it goes (/opt/python).
    """

    prefix: Path
    target: str
    files: tuple[str, ...]
    """Relative to prefix, sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFiles:
    """All that the ``host`` base is made of."""

    packages: tuple[PackedPackage, ...]
    loose: tuple[str, ...]
    """Absolute paths of libraries that no package owns."""
    interpreter: InterpreterTree | None
    python_executable: str
    """The interpreter's absolute path inside the image: /opt/python/bin/python3.11 or /usr/bin/python3.11."""
    moved: tuple[tuple[str, str], ...] = ()
    """(path here, path in the image) of unowned libraries that lie in a home directory."""
    links: tuple[tuple[str, str], ...] = ()
    """(path, target) of symlinks made in the loader's default directories, for libraries that only
    ld.so.conf or LD_LIBRARY_PATH led to: the image has neither."""
    needed: Pairs = ()
    """Soname → who needs it, of each library that the environment expects of whatever it stands on."""
    root: Path = Path("/")
    """Where the file system lies that all these paths are of, as in :class:`InstalledDistribution`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The facts of one live environment."""

    python: Python
    os: OperatingSystem
    cpu: Cpu
    gpu: Gpu
    cuda: tuple[CudaLibrary, ...]
    project: Project | None
    variables: tuple[tuple[str, str], ...]
    distributions: tuple[InstalledDistribution, ...]
    conda: tuple[CondaPackage, ...] = ()
    libraries: tuple[tuple[str, str], ...] = ()
    """As :attr:`envlock.lock.model.Lock.libraries`."""
    host_files: HostFiles | None
    gaps: tuple[Gap, ...]
    reach: Reach | None = None
    """All files that these facts depend on, but for what the machine tells; None: more than files."""
