"""podman, through its own program: no service need run, and rootless podman is asked as its user does.

It reads containers.conf and ``CONTAINERS_CONF`` as always, so whatever a machine needs (a runtime, limits)
is set there. podman's image ID is the digest of the config, as in Docker's classic store.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from envlock.core.digest import Digest
from envlock.core.progress import Progress
from envlock.engines.configuration import ENVIRONMENT_ID_LABEL, parse
from envlock.engines.engine import ImageFacts, Job
from envlock.host import process
from envlock.host.files import scratch_directory
from envlock.host.foreground import foreground
from envlock.host.store import Store
from envlock.oci import archive
from envlock.oci.layout import Blobs
from envlock.oci.model import Image
from envlock.oci.reader import OpenedImage
from envlock.runtime.errors import InputError, UnreachableError

_PROGRAM: Final = "podman"
_HINT: Final = "podman info tells what it lacks; containers.conf sets runtime and limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Podman:
    """An image in podman's store, by its ID."""

    image: ImageFacts
    name: str

    def run(self, job: Job) -> int:
        """Run ``job``; see :class:`envlock.engines.engine.Engine`."""
        with scratch_directory() as scratch:
            # podman's own failures end with 125 to 127 (podman-run(1)), and so may a job: the file tells.
            begun = scratch / "container"
            argv = (_PROGRAM, "run", "--rm", f"--cidfile={begun}", *_options(job), self.name, *job.arguments)
            status = foreground(argv, env=os.environ).status
            if not begun.exists():
                raise UnreachableError(
                    "podman could not start the container", found=f"exit status {status}", hint=_HINT
                )
        return status


def prepare(opened: OpenedImage, store: Store, progress: Progress) -> Podman:
    """Return the engine for an image on disk, loaded if podman does not have it. Raises UnreachableError."""
    image = opened.image
    name = image.config_digest.hex
    if _run("image", "exists", name).exit_code:
        with progress.task("load the image into podman", None):
            load(image, opened.open_blob, f"envlock-run:{name[:12]}", store)
    facts = ImageFacts(
        config_digest=image.config_digest,
        manifest_digest=image.digest,
        environment_id=parse(image.config, str(image.config_digest)).environment_id,
    )
    return Podman(image=facts, name=name)


def reach() -> None:
    """Raise UnreachableError when podman can't be used."""
    done = _run("version")
    if done.exit_code:
        raise _refused(done)


def load(image: Image, blobs: Blobs, tag: str, _: Store) -> None:
    """Load ``image`` into podman as ``tag``. Raises UnreachableError when it refuses."""
    with scratch_directory() as scratch:
        file = scratch / "image.tar"
        archive.write(image, blobs, file, tag)
        done = _run("load", "--quiet", "--input", str(file))
        if not done.exit_code:
            # `podman load` takes a short name for one of localhost's.
            done = _run("tag", image.config_digest.hex, tag)
    if done.exit_code:
        raise _refused(done)


def tagged(tag: str, _: Store) -> Podman:
    """Return the engine for an image that podman already has. Raises InputError when it has none."""
    done = _run("image", "inspect", tag)
    if done.exit_code:
        raise InputError(
            "no such image in podman", where=tag, found=_last(done), hint=f"envlock build -o podman:{tag}"
        )
    (described,) = json.loads(done.stdout)
    identity = Digest.parse(f"sha256:{str(described['Id']).removeprefix('sha256:')}")
    labels: dict[str, Any] = described.get("Labels") or {}
    facts = ImageFacts(
        config_digest=identity, manifest_digest=None, environment_id=labels.get(ENVIRONMENT_ID_LABEL)
    )
    return Podman(image=facts, name=identity.hex)


def _options(job: Job) -> Iterator[str]:
    yield "--interactive"
    yield from (("--tty",) if job.tty else ())
    yield f"--shm-size={job.shm_size}"
    # Rootless, the caller is root of podman's user namespace: what the job writes shall be the caller's.
    yield from (("--userns=keep-id",) if os.geteuid() else ())
    yield f"--user={job.user or f'{os.getuid()}:{os.getgid()}'}"
    yield from (() if job.network else ("--network=none",))
    yield from (("--device=nvidia.com/gpu=all",) if job.gpus else ())
    for mount in job.mounts:
        only = ",readonly" if mount.read_only else ""
        yield f"--mount=type=bind,source={mount.source.absolute()},target={mount.target}{only}"
    for name, value in job.environment:
        yield f"--env={name}={value}"


def _run(*arguments: str) -> process.Completed:
    try:
        return process.run((_PROGRAM, *arguments), env=os.environ)
    except UnreachableError as error:
        raise UnreachableError(
            "podman can't be used", found=error.found, hint="install podman, or use --engine embedded"
        ) from error


def _refused(done: process.Completed) -> UnreachableError:
    return UnreachableError("podman refused", found=_last(done), hint=_HINT)


def _last(done: process.Completed) -> str:
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"exit status {done.exit_code}"
