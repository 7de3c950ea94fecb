"""The embedded engine: an image's root file system in Linux namespaces, with util-linux alone.

It separates file systems, processes and environment so that a run is the image's and nothing else's.
It is no security boundary against hostile jobs.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from envlock.core.progress import Progress
from envlock.engines import configuration, namespaces, nvidia, rootfs, user
from envlock.engines.configuration import ImageConfiguration
from envlock.engines.engine import ImageFacts, Job, Mount
from envlock.engines.namespaces import Namespaces
from envlock.host import process, trees
from envlock.host.attached import attached
from envlock.host.data import data
from envlock.host.files import scratch_directory
from envlock.host.locking import Lease
from envlock.host.ownership import lent
from envlock.host.store import Store
from envlock.oci.reader import OpenedImage
from envlock.runtime.errors import InputError, UnreachableError

_HOST = Path("/")
_NAMES = ("etc/hosts", "etc/resolv.conf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """An extracted image on this machine."""

    image: ImageFacts
    root: Path
    configuration: ImageConfiguration
    namespaces: Namespaces
    lease: Lease | None = field(default=None, compare=False)
    """Keeps the tree from being pruned for as long as the engine is there."""

    def run(self, job: Job) -> int:
        """Run ``job``; see :class:`envlock.engines.engine.Engine`."""
        argv = self.configuration.argv(job.arguments)
        self._check(argv)
        who = user.resolve(job.user or self.configuration.user, self.root)
        graphics = _driver(self._library_path) if job.gpus else nvidia.Driver()
        environment = {
            **dict(self.configuration.environment),
            **dict(graphics.environment),
            **dict(job.environment),
        }
        with scratch_directory() as scratch, self._lent(job.mounts, who):
            private = scratch / "tmp"
            private.mkdir()
            private.chmod(0o1777)
            started = scratch / "started"
            mounts = (Mount(source=private, target="/tmp"), *_host_names(), *graphics.mounts, *job.mounts)  # noqa: S108 - the container's own
            inner = self.namespaces.inner(who, self.root, self.configuration.working_directory, environment)
            status = attached(
                (
                    *self.namespaces.outer(network=job.network),
                    *(self.namespaces.sh, str(data("templates/embedded.sh"))),
                    *(str(self.root), str(job.shm_size), str(started)),
                    *_operands(mounts),
                    *("--", *inner, *argv),
                ),
                env=_tool_environment(network=job.network),
            )
            if not started.exists():
                raise UnreachableError(
                    "the embedded engine could not set the container up",
                    found=f"exit status {status}",
                    hint="the tool's own message stands above",
                )
        return status

    @property
    def _library_path(self) -> str:
        return dict(self.configuration.environment).get("LD_LIBRARY_PATH", "")

    def _check(self, argv: tuple[str, ...]) -> None:
        """Refuse what could not start, while it can still be told from a job that failed."""
        if not argv:
            raise InputError("the image has no entrypoint", expected="a command after --")
        program = self.root / argv[0].lstrip("/")
        if argv[0].startswith("/") and not (program.is_symlink() or os.access(program, os.X_OK)):
            raise InputError("the image's entrypoint can't be started", where=argv[0])

    @contextmanager
    def _lent(self, mounts: tuple[Mount, ...], who: user.User) -> Iterator[None]:
        """Let a job that runs as another user write where the caller lets it write."""
        if not self.namespaces.lends:
            yield
            return
        with lent(tuple(mount.source for mount in mounts if not mount.read_only), who.uid, who.gid):
            yield


def prepare(opened: OpenedImage, store: Store, progress: Progress) -> Embedded:
    """Return the engine for an image, extracted if need be.

    Raises UnreachableError where namespaces are forbidden, before anything is extracted.
    """
    allowed = namespaces.available()
    settings = configuration.parse(opened.image.config, str(opened.image.config_digest))
    root = rootfs.prepared(opened, store, progress)
    return Embedded(
        image=ImageFacts(
            config_digest=opened.image.config_digest,
            manifest_digest=opened.image.digest,
            environment_id=settings.environment_id,
        ),
        root=root,
        configuration=settings,
        namespaces=allowed,
        lease=trees.lease(root),
    )


def _host_names() -> tuple[Mount, ...]:
    """Return the mounts by which the job resolves names as this machine does."""
    return tuple(
        Mount(source=_HOST / name, target=f"/{name}", read_only=True)
        for name in _NAMES
        if (_HOST / name).is_file()
    )


def _driver(library_path: str) -> nvidia.Driver:
    if not nvidia.present(_HOST):
        return nvidia.Driver()
    listed = process.run(("ldconfig", "-p"), env=namespaces.environment()).stdout
    return nvidia.driver(_HOST, listed.decode(errors="replace"), library_path)


def _operands(mounts: tuple[Mount, ...]) -> Iterator[str]:
    for mount in mounts:
        yield from (str(mount.source.absolute()), mount.target, "ro" if mount.read_only else "rw")


def _tool_environment(*, network: bool) -> Mapping[str, str]:
    return namespaces.environment() | ({} if network else {"ENVLOCK_LOOPBACK": "1"})
