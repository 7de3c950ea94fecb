"""The Lock value: what a captured environment is, down to the exact bytes of each part.

Immutable, without I/O; the codec (``codec.py``) reads and writes it as PEP 751 TOML and this module
never imports it. Names are normalised (PEP 503), sequences are sorted, nothing here names a user, a
home directory, a host or a credential. ``extra`` keeps fields of the same major version that this
envlock does not know, as (name, TOML value) pairs.
"""

from dataclasses import dataclass, field
from typing import Literal

from envlock.core.digest import Digest

LOCK_VERSION = 1

Source = Literal["index", "archive", "vcs", "directory", "conda", "repacked"]
Evidence = Literal["recorded", "matched", "hashed", "repacked"]
PrefixKind = Literal["system", "pyenv", "conda", "standalone", "venv", "other"]
PackageManager = Literal["dpkg", "rpm", "apk"]
Extra = tuple[tuple[str, object], ...]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """The one artifact of a package. ``size`` in bytes; exactly one of ``url`` and ``path`` is set."""

    name: str
    sha256: Digest
    size: int
    url: str | None = None
    path: str | None = None
    """Relative to the lockfile's directory, POSIX form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A distribution and where it really came from."""

    name: str
    version: str
    wheel: Wheel
    source: Source
    evidence: Evidence
    requires_python: str | None = None
    index: str | None = None
    """A name for the index, never its credentials."""
    origin: tuple[tuple[str, str], ...] = ()
    """Facts of a direct reference: ``url``, ``vcs``, ``commit``, ``subdirectory`` …"""
    modified: tuple[str, ...] = ()
    """Installed files that differ from RECORD, relative to site-packages."""
    missing: tuple[str, ...] = ()
    """Those of ``modified`` that are not there any more."""
    modified_digest: Digest | None = None
    """Of the paths and bytes of ``modified``, so that a file which is edited once more is noticed."""
    editable: bool = False
    build: Pairs = ()
    """How a package that no index has was built: ``generator``, ``compiler``, ``torch``, ``cuda``."""
    content_digest: Digest | None = None
    """Of the files in site-packages as they were, so that other bytes of the same version are noticed."""
    licences: tuple[str, ...] = ()
    """One SPDX expression, or the names that the metadata gives."""
    dependencies: tuple[str, ...] = ()
    """The packages of the lock that it needs, sorted."""
    extra: Extra = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """The interpreter. ``version`` as in ``3.11.7``; ``abi`` the SOABI tag, ``cpython-311``."""

    implementation: str
    version: str
    abi: str
    build: str
    prefix_kind: PrefixKind
    prefix: str
    """Where the interpreter stands in the image: ``/usr`` or ``/opt/python``."""
    extra: Extra = ()

    @property
    def minor(self) -> str:
        """``3.11`` of ``3.11.7``: the name of the library directory."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingSystem:
    """``/etc/os-release`` and libc: ``id`` debian, ``version`` 12, ``libc`` ``glibc 2.36``."""

    id: str
    version: str
    kernel: str
    libc: str
    machine: str
    """``x86_64``, ``aarch64`` as the kernel says it."""
    extra: Extra = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPackage:
    """An OS package that the environment loads. ``sha256`` of the .deb where apt knows it."""

    name: str
    version: str
    architecture: str
    sha256: Digest | None = None
    manager: PackageManager = "dpkg"
    snapshot: str | None = None
    """Date of the archive's snapshot that has it, ``20261101T000000Z``, where the sources name one."""
    extra: Extra = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaPackage:
    """A package of the conda prefix, as ``conda-meta`` tells; its URL and channel without tokens."""

    name: str
    version: str
    build: str
    channel: str
    url: str | None = None
    sha256: Digest | None = None
    md5: str | None = None
    extra: Extra = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """``isa`` is the psABI level: ``x86-64-v1`` … ``x86-64-v4``, or the machine's name elsewhere."""

    model: str
    isa: str
    cores: int
    """Cores that this process may use (affinity and cgroup limit), at least 1."""
    vendor: str = ""
    """As the processor says it: ``GenuineIntel``, ``AuthenticAMD``."""
    flags: tuple[str, ...] = ()
    """Features that numeric libraries choose kernels by, sorted, by /proc/cpuinfo's names."""
    blas: tuple[str, ...] = ()
    """Numeric libraries found in the environment, as ``openblas 0.3.30 pthreads Haswell``, ``gomp 1.0.0``."""
    threads: tuple[tuple[str, str], ...] = ()
    """Thread variables that were set at capture (OMP_NUM_THREADS …)."""
    extra: Extra = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuDevice:
    """One GPU. ``memory`` in bytes; ``capability`` as ``9.0``. Never a UUID or serial."""

    model: str
    capability: str
    memory: int
    mig: bool
    profile: str = ""
    """Of a MIG instance: ``1g.10gb``; then ``memory`` is the instance's."""
    extra: Extra = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """What NVML says. No driver: ``driver`` is None and ``devices`` is empty."""

    driver: str | None = None
    cuda: str | None = None
    devices: tuple[GpuDevice, ...] = ()
    topology: Pairs = ()
    """How two devices are joined, by position in ``devices``: ``0-1`` → ``nvlink x18``."""
    extra: Extra = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaLibrary:
    """A CUDA library that would be loaded.

    ``origin``: ``wheel:NAME``, ``conda:NAME``, ``os:NAME``, ``toolkit:VERSION`` or ``unowned``.
    """

    name: str
    version: str
    origin: str
    extra: Extra = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseLayer:
    """One pinned layer of the base: uncompressed digest, blob digest, blob size in bytes."""

    diff_id: Digest
    blob: Digest
    size: int
    media_type: str
    comment: str = ""
    annotations: Pairs = ()
    """Of the layer's descriptor: where its table of contents is, for one that can be read lazily."""
    added: bool = False
    """envlock put it on a base that somebody else made, so nobody else has it."""
    extra: Extra = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What the environment stands on. ``kind`` is ``host`` or a base reference's scheme.

    What follows ``reference`` is empty for ``host``, which has no config of its own.
    """

    kind: str
    layers: tuple[BaseLayer, ...]
    reference: str | None = None
    """Where it came from: a name in a registry or an engine, never a path of the captured machine."""
    digest: Digest | None = None
    """Of the image's manifest; where there is none (``docker save``), of its config: the image's ID."""
    python: str | None = None
    """The interpreter's path in the base."""
    user: str = ""
    """Whom the base runs as, where that is not root."""
    environment: Pairs = ()
    """The variables of the base's config, but for those that would lead Python elsewhere."""
    extra: Extra = ()

    def is_fetched(self, layer: BaseLayer) -> bool:
        """Say whether a registry has the layer, so that no copy of it need travel with the lock."""
        return self.kind == "registry" and not layer.added


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The job's own code: git commit and the hash of the tree that ran; remote without credentials."""

    commit: str | None = None
    dirty: bool = False
    tree: Digest | None = None
    remote: str | None = None
    extra: Extra = ()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Gap:
    """Something that could not be captured or is not reproducible, and why."""

    subject: str
    reason: str
    harmless: bool = False
    """Left out on purpose, or not there to be captured: no fault of the capture."""
    extra: Extra = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Everything that decides a result."""

    python: Python
    os: OperatingSystem
    cpu: Cpu
    gpu: Gpu
    packages: tuple[Package, ...]
    base: Base
    system_packages: tuple[SystemPackage, ...] = ()
    conda: tuple[CondaPackage, ...] = ()
    libraries: Pairs = ()
    """Shared library that the environment loads → whose it is: ``wheel:NAME``, ``conda:NAME``, ``os:NAME``,
    ``interpreter`` or ``unowned``."""
    cuda: tuple[CudaLibrary, ...] = ()
    project: Project | None = None
    environment: tuple[tuple[str, str], ...] = ()
    """Allow-listed variables that were set at capture."""
    gaps: tuple[Gap, ...] = ()
    requires_python: str | None = None
    extra: Extra = ()

    @property
    def is_complete(self) -> bool:
        """Whether everything was captured that was there to be captured."""
        return all(gap.harmless for gap in self.gaps)

    @property
    def platform(self) -> str:
        """The OCI platform, ``linux/amd64``."""
        return "linux/" + {"x86_64": "amd64", "aarch64": "arm64"}.get(self.os.machine, self.os.machine)
