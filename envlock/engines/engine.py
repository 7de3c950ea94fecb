"""What every engine does: run a job in an image, on this process's own streams."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from envlock.core.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A file or directory of this machine, seen in the container at the absolute path ``target``."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of an image.

    ``arguments`` go to the image's entrypoint; none means the image's own default. ``environment``
    comes on top of the image's. ``user`` is ``UID[:GID]``; None leaves the choice to the engine, which
    makes what the job writes belong to the caller. ``shm_size`` is the size of /dev/shm in bytes.
    Mounts are made in order, so one may lie inside another.
    """

    arguments: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    user: str | None = None
    network: bool = True
    gpus: bool = False
    tty: bool = False
    shm_size: int = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What is known of the image that an engine runs.

    A digest is None where the engine does not tell it; ``environment_id`` is None when envlock did not
    build the image.
    """

    config_digest: Digest | None
    manifest_digest: Digest | None
    environment_id: str | None


class Engine(Protocol):
    """An image, ready to run."""

    @property
    def image(self) -> ImageFacts:
        """The image that runs."""
        ...

    def run(self, job: Job) -> int:
        """Run ``job`` and return its exit status.

        stdin, stdout and stderr are this process's own, byte for byte. SIGINT, SIGTERM, SIGHUP and
        SIGQUIT go to the job. Nothing of the container is left when this returns.
        Raises UnreachableError when the engine refuses.
        """
        ...
