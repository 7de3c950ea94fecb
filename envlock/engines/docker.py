"""A Docker engine, through its API (also podman's, which speaks the same one on DOCKER_HOST)."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import docker
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.models.images import Image as DockerImage
from docker.types import DeviceRequest
from docker.types import Mount as DockerMount
from docker.utils.socket import frames_iter

from envlock.core.digest import Digest
from envlock.core.progress import Progress
from envlock.engines import docker_load, docker_manifests
from envlock.engines.configuration import ENVIRONMENT_ID_LABEL, parse
from envlock.engines.docker_client import connected, told
from envlock.engines.engine import ImageFacts, Job
from envlock.host import streams
from envlock.host.signals import forwarded
from envlock.host.store import Store
from envlock.oci.layout import Blobs
from envlock.oci.model import Image, Made
from envlock.oci.reader import OpenedImage
from envlock.runtime.errors import InputError, UnreachableError

_ATTACHED = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Docker:
    """An image in a Docker engine. ``name`` is what the engine knows it by."""

    image: ImageFacts
    client: docker.DockerClient
    name: str

    def run(self, job: Job) -> int:
        """Run ``job``; see :class:`envlock.engines.engine.Engine`."""
        with told():
            container = self.client.containers.create(self.name, list(job.arguments), **_options(job))
            try:
                return _attend(container, job, self.client)
            finally:
                container.remove(force=True, v=True)


def prepare(opened: OpenedImage, store: Store, progress: Progress) -> Docker:
    """Return the engine for an image on disk, loaded if the engine does not have it.

    Raises UnreachableError when no engine answers.
    """
    facts = ImageFacts(
        config_digest=opened.image.config_digest,
        manifest_digest=opened.image.digest,
        environment_id=parse(opened.image.config, str(opened.image.config_digest)).environment_id,
    )
    with connected() as client:
        found = _find(client, facts) or _load(client, opened, store, progress)
    return Docker(image=facts, client=client, name=str(found.id))


def reach() -> None:
    """Raise UnreachableError when no engine answers."""
    with connected() as client:
        client.close()


def answers() -> bool:
    """Say whether a Docker engine answers."""
    try:
        reach()
    except UnreachableError:
        return False
    return True


@contextmanager
def ahead(blobs: Blobs, progress: Progress) -> Iterator[Made]:
    """Yield what takes the layers of an image that is being built, lowest first, and loads them meanwhile.

    Raises UnreachableError when no engine answers.
    """
    with ExitStack() as stack:
        with connected() as client:
            stack.enter_context(closing(client))
            taker = stack.enter_context(docker_load.ahead(client, blobs, progress))
        yield taker


def load(image: Image, blobs: Blobs, tag: str, store: Store) -> None:
    """Load ``image`` into the engine as ``tag``; ``store`` remembers what engines were sent.

    Raises UnreachableError when no engine answers.
    """
    with connected() as client, closing(client):
        docker_load.send(client, image, blobs, tag, store)


def ensure(image: Image, store: Store, tag: str) -> None:
    """See to it that the engine has ``image``, whose blobs lie in ``store``, as ``tag``.

    Raises UnreachableError when no engine answers.
    """
    facts = ImageFacts(config_digest=image.config_digest, manifest_digest=image.digest, environment_id=None)
    with connected() as client, closing(client):
        found = _find(client, facts)
        if found is None:
            docker_load.send(client, image, store.path, tag, store)
        elif tag not in found.tags:
            found.tag(tag)


def name(identity: str, tag: str) -> None:
    """Give the engine's image ``identity`` one more name."""
    with connected() as client, closing(client):
        client.images.get(identity).tag(tag)


def tagged(tag: str, store: Store) -> Docker:
    """Return the engine for an image that it already has. Raises InputError when it has none of this name.

    ``store`` remembers what engines were sent: with containerd's store nothing else tells an image's config.
    """
    with connected() as client:
        try:
            found = client.images.get(tag)
        except ImageNotFound as error:
            raise InputError(
                "no such image in the Docker engine", where=tag, hint=f"envlock build -t {tag}"
            ) from error
        identity = Digest.parse(str(found.id))
        is_manifest = docker_manifests.are_ids(client)
    known = docker_manifests.sent(identity, store) if is_manifest else None
    labels = found.labels or {}
    facts = ImageFacts(
        config_digest=(known.config if known else None) if is_manifest else identity,
        manifest_digest=identity if known else None,  # the ID of one that is not known may be an index's
        environment_id=labels.get(ENVIRONMENT_ID_LABEL),
    )
    return Docker(image=facts, client=client, name=str(found.id))


class Sink(Protocol):
    """Where bytes go: a binary file, or what hashes and writes them."""

    def write(self, data: bytes, /) -> object:
        """Write all of ``data``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An image or a container that the engine keeps: its ID, and its settings as an image config."""

    identity: str
    config: bytes


def image_kept(name: str) -> Kept:
    """Return the image ``name``. Raises InputError when the engine has none, UnreachableError without one."""
    with connected() as client, closing(client):
        try:
            attributes = client.images.get(name).attrs
        except ImageNotFound as error:
            hint = _instead(client, name)
            raise InputError("no such image in the Docker engine", where=name, hint=hint) from error
    return Kept(identity=str(attributes["Id"]), config=_config(attributes, attributes))


def _instead(client: docker.DockerClient, name: str) -> str:
    """Return what to try where no image has the name."""
    try:
        client.containers.get(name)
    except APIError:
        return f"docker pull {name}, or see what there is with docker images"
    return f"there is a container of this name: docker-container:{name}"


def container_kept(name: str) -> Kept:
    """Return the container ``name``, running or not. Raises as :func:`image_kept`."""
    with connected() as client, closing(client):
        try:
            attributes = client.containers.get(name).attrs
        except NotFound as error:
            raise InputError(
                "no such container in the Docker engine", where=name, hint="docker ps -a lists them"
            ) from error
        image = client.images.get(attributes["Image"]).attrs
    return Kept(identity=str(attributes["Id"]), config=_config(attributes, image))


def save(image: Kept, sink: Sink) -> None:
    """Write the image into ``sink`` as ``docker save`` does. Raises UnreachableError when that fails."""
    with connected() as client, closing(client):
        for piece in client.api.get_image(image.identity):
            sink.write(piece)


def export(container: Kept, sink: Sink) -> None:
    """Write the container's files into ``sink`` as one tar, without what is mounted in it."""
    with connected() as client, closing(client):
        for piece in client.api.export(container.identity):
            sink.write(piece)


def _config(described: Mapping[str, Any], image: Mapping[str, Any]) -> bytes:
    """Return what the engine says of an image or a container in the form of an image config."""
    platform = {"architecture": image.get("Architecture"), "os": image.get("Os")}
    return json.dumps({**platform, "config": described.get("Config")}).encode()


def _find(client: docker.DockerClient, facts: ImageFacts) -> DockerImage | None:
    """Return the image if the engine has it.

    An image's ID is its config's digest; with the containerd image store it is its manifest's.
    """
    for identity in filter(None, (facts.config_digest, facts.manifest_digest)):
        with suppress(ImageNotFound):
            return client.images.get(str(identity))
    return None


def _load(client: docker.DockerClient, opened: OpenedImage, store: Store, progress: Progress) -> DockerImage:
    """Load the image under a name of its own, by which a later run finds it too."""
    with progress.task("load the image into Docker", None):
        tag = f"envlock-run:{opened.image.config_digest.hex[:12]}"
        docker_load.send(client, opened.image, opened.open_blob, tag, store)
        return client.images.get(tag)


def _options(job: Job) -> dict[str, Any]:
    """Return the container's settings as the SDK names them."""
    mounts = [
        DockerMount(mount.target, str(mount.source.absolute()), type="bind", read_only=mount.read_only)
        for mount in job.mounts
    ]
    return {
        "mounts": mounts,
        "environment": dict(job.environment),
        "user": job.user or f"{os.getuid()}:{os.getgid()}",
        "network_mode": None if job.network else "none",
        "shm_size": job.shm_size,
        "stdin_open": True,
        "tty": job.tty,
        "device_requests": [DeviceRequest(count=-1, capabilities=[["gpu"]])] if job.gpus else None,
    }


def _attend(container: Container, job: Job, client: docker.DockerClient) -> int:
    """Join the container to this process's streams, start it and wait for its end."""
    connection = client.api.attach_socket(str(container.id), _ATTACHED)
    # A SocketIO over plain sockets; over SSH and TLS the socket itself.
    sender = getattr(connection, "_sock", connection)
    terminal: AbstractContextManager[None] = streams.raw_terminal() if job.tty else nullcontext()
    signals = _Signals(container)
    streams.flush()
    with closing(connection), closing(sender), terminal, forwarded(signals.send):
        container.start()
        signals.started()
        if job.tty:
            container.resize(*reversed(os.get_terminal_size()))
        with streams.feeding(sender):
            pieces: Iterator[tuple[int, bytes]] = frames_iter(connection, job.tty)  # type: ignore[no-untyped-call] # docker-py
            for stream, piece in pieces:
                streams.write(piece, stream)
        return int(container.wait()["StatusCode"])


class _Signals:
    """Signals for a container, kept while it has not started."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._kept: list[int] = []

    def send(self, number: int) -> None:
        try:
            self._container.kill(signal=number)
        except APIError:
            # Not started yet, or just ended.
            self._kept.append(number)

    def started(self) -> None:
        for number in tuple(self._kept):
            self.send(number)
