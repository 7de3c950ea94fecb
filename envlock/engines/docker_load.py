"""An image into a Docker engine that lacks some of its layers.

Rules kept here:

* Layers that the engine has are not sent (:mod:`envlock.engines.docker_layers`).
* To Docker on this machine they are sent inflated: its own inflating takes three times as long as zlib-ng,
  and longer still by ``unpigz``, which starts threads for each of a layer's many gzip members. Docker
  checks their diff IDs, as always.
* They go there in parts, each an image of the layers so far, as ``docker save`` writes one (Docker image
  specification 1.2). While one part is unpacked the next is sent, so that only these two ever lie in the
  engine's temporary directory. They can be sent before the image is whole (:func:`ahead`).
* A part's image has no name but a label, by which the load of the whole removes it, and those that a killed
  one left.
* Every other engine is sent the archive that :mod:`envlock.oci.archive` writes; Docker's containerd store
  without the blobs that it has (:mod:`envlock.engines.docker_manifests`).
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Final

import docker
from docker.errors import DockerException, ImageLoadError

from envlock.core import canonical
from envlock.core.progress import Progress
from envlock.engines import docker_layers, docker_manifests
from envlock.engines.docker_layers import Chain
from envlock.host.store import Store
from envlock.oci import archive, tar
from envlock.oci.estargz import UNCOMPRESSED_SIZE
from envlock.oci.inflation import inflated
from envlock.oci.layer import MTIME
from envlock.oci.layout import Blobs, descriptor, open_blob
from envlock.oci.model import MEDIA_LAYER_GZIP, Image, Layer, Made
from envlock.oci.name import ImageName
from envlock.runtime.errors import IntegrityError

_SOCKET: Final = "http+docker://localhost"
"""What the SDK calls any socket of this machine."""
_LABEL: Final = "dev.envlock.part"
_NOT_UNPACKED: Final = "Error unpacking image"
_PART: Final = 64 << 20
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """An image of some layers, of which the engine is sent the last ones."""

    config: bytes
    layers: tuple[Layer, ...]
    sent: tuple[Layer, ...]
    names: tuple[str, ...] = ()


def send(client: docker.DockerClient, image: Image, blobs: Blobs, tag: str, store: Store) -> None:
    """Load ``image`` into the engine as ``tag``. Raises as the SDK does, IntegrityError for wrong bytes.

    ``store`` remembers what engines were sent.
    """
    if docker_layers.opens_what_it_lacks(client):
        _send_layers(client, image, blobs, tag)
    elif docker_manifests.are_ids(client):
        _send_blobs(client, image, blobs, tag, store)
    else:
        _receive(client, archive.pieces(image, blobs, tag))


def _send_blobs(client: docker.DockerClient, image: Image, blobs: Blobs, tag: str, store: Store) -> None:
    """Send the blobs that are in no image of the engine's."""
    had = [one.layers for one in docker_manifests.listed(client, store).values()]
    without = frozenset().union(*had) & {layer.blob for layer in image.layers}
    docker_manifests.remember(image, store)
    try:
        _receive(client, archive.pieces(image, blobs, tag, without=without))
        is_whole = not without or image.digest in docker_manifests.listed(client, store)
    except DockerException:
        if not without:
            raise
        is_whole = False
    if not is_whole:  # an image that had some of them may just have been removed
        _receive(client, archive.pieces(image, blobs, tag))


def _send_layers(client: docker.DockerClient, image: Image, blobs: Blobs, tag: str) -> None:
    """Send the layers that the engine has not, in parts where it is on this machine."""
    chains = docker_layers.chains(client)
    held = docker_layers.common(image.layers, chains)
    parts = _parts_of(image, tag, chains) if _is_here(client) else ()
    try:
        if parts:
            _send_parts(client, parts, blobs)
        else:
            without = {layer.blob for layer in image.layers[:held]}
            _receive(client, archive.pieces(image, blobs, tag, without=without))
    except DockerException:
        if not held and len(parts) <= 1:
            raise
        # An image that had some of the layers may just have been removed.
        _receive(client, archive.pieces(image, blobs, tag))
    finally:
        _remove_parts(client, image.layers)


@contextmanager
def ahead(client: docker.DockerClient, blobs: Blobs, progress: Progress) -> Iterator[Made]:
    """Yield what takes the layers of an image to come, lowest first, and loads them meanwhile.

    They are removed again when the block fails, but for an interrupt, which waits for nobody. What fails
    here fails again, and is told, when the whole image is sent.
    """
    if not (_is_here(client) and docker_layers.opens_what_it_lacks(client)):
        yield lambda _: None
        return
    coming: SimpleQueue[Layer | None] = SimpleQueue()
    layers: list[Layer] = []

    def take(layer: Layer) -> None:
        layers.append(layer)
        coming.put(layer)

    parts = _parts(iter(coming.get, None), docker_layers.chains(client))
    loading = _begun(partial(_send_parts, client, parts, blobs))
    try:
        yield take
    except Exception:
        coming.put(None)
        loading.exception()
        _remove_parts(client, layers)
        raise
    coming.put(None)
    with progress.task("load layers into Docker", None):
        loading.exception()


def _is_here(client: docker.DockerClient) -> bool:
    return client.api.base_url == _SOCKET


def _receive(client: docker.DockerClient, pieces: Iterator[bytes]) -> None:
    # What has no read() is sent in chunks (RFC 9112, 7.1). Read to its end, an answer frees its connection.
    told = list(client.api.load_image(pieces))  # type: ignore[no-untyped-call] # docker-py
    faults = [str(one["error"]) for one in told if "error" in one]
    # Some versions with containerd's store only mention this one.
    faults += [text for one in told if (text := str(one.get("stream", "")).strip()).startswith(_NOT_UNPACKED)]
    if faults:
        raise ImageLoadError(faults[0])


def _parts_of(image: Image, tag: str, chains: Sequence[Chain]) -> tuple[_Part, ...]:
    """Return the parts of an image, the last of them all of it."""
    parts = tuple(_parts(image.layers[:-1], chains))
    first = len(parts[-1].layers) if parts else docker_layers.common(image.layers, chains)
    names = (str(ImageName.parse(tag)),)
    return (*parts, _Part(config=image.config, layers=image.layers, sent=image.layers[first:], names=names))


def _parts(layers: Iterable[Layer], chains: Sequence[Chain]) -> Iterator[_Part]:
    """Yield parts of at least _PART bytes; what is less than that in the end is not among them."""
    below: list[Layer] = []
    sent: list[Layer] = []
    for layer in layers:
        below.append(layer)
        if not sent and docker_layers.common(below, chains) == len(below):
            continue
        sent.append(layer)
        if sum(_unpacked(one) or one.size for one in sent) >= _PART:
            yield _Part(config=_config(below), layers=tuple(below), sent=tuple(sent))
            sent.clear()


def _config(layers: Iterable[Layer]) -> bytes:
    """Return the config of an image that is there for its layers only."""
    return canonical.dumps(
        {
            "config": {"Labels": {_LABEL: "true"}},
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]},
        }
    )


def _send_parts(client: docker.DockerClient, parts: Iterable[_Part], blobs: Blobs) -> None:
    before: Future[None] | None = None
    for part in parts:
        sending = _begun(partial(_receive, client, _pieces(part, blobs, before)))
        if before is not None:
            before.result()
        before = sending
    if before is not None:
        before.result()


def _remove_parts(client: docker.DockerClient, layers: Sequence[Layer]) -> None:
    """Remove the parts' images of which an image of ``layers`` has every layer."""
    with suppress(DockerException):  # they cost nothing, once the whole image is there
        for one in client.images.list(filters={"dangling": True, "label": _LABEL}):
            chain = tuple(one.attrs["RootFS"]["Layers"])
            if docker_layers.common(layers, (chain,)) == len(chain):
                client.images.remove(str(one.id))


def _begun(work: Callable[[], None]) -> Future[None]:
    """Return the future of ``work``, which a thread does that an exit of envlock does not wait for."""
    future: Future[None] = Future()

    def done() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 # told where it is waited for
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=done, daemon=True).start()
    return future


def _pieces(part: _Part, blobs: Blobs, before: Future[None] | None) -> Iterator[bytes]:
    """Yield the part's archive; its end, with which the engine begins, once the part ``before`` is there."""
    yield from _file("config.json", part.config)
    for layer in part.sent:
        yield from _layer(layer, blobs)
    if before is not None:
        before.result()
    entry = {"Config": "config.json", "Layers": list(map(_name, part.layers)), "RepoTags": part.names or None}
    yield from _file("manifest.json", canonical.dumps([entry]))
    yield tar.END


def _layer(layer: Layer, blobs: Blobs) -> Iterator[bytes]:
    """Yield a layer as a file of the archive: inflated where its size then is known, else as it is."""
    unpacked = _unpacked(layer)
    size = layer.size if unpacked is None else unpacked
    yield tar.header(_name(layer), mode=0o644, mtime=MTIME, size=size)
    with open_blob(descriptor(layer), blobs(layer.blob)) as stream:
        plain = stream if unpacked is None else inflated(stream, str(layer.blob))
        seen = 0
        for piece in iter(partial(plain.read, _PIECE), b""):
            seen += len(piece)
            yield piece
    if seen != size:
        raise IntegrityError(
            "a layer has another size than the image says",
            where=str(layer.blob),
            expected=f"{size} bytes inflated",
            found=f"{seen} bytes",
        )
    yield tar.padding(size)


def _unpacked(layer: Layer) -> int | None:
    """Return the bytes of the plain tar, where the layer is compressed and says it."""
    told = dict(layer.annotations).get(UNCOMPRESSED_SIZE, "")
    return int(told) if layer.media_type == MEDIA_LAYER_GZIP and told.isdecimal() else None


def _name(layer: Layer) -> str:
    return f"{layer.diff_id.hex}.tar"


def _file(name: str, data: bytes) -> Iterator[bytes]:
    yield tar.header(name, mode=0o644, mtime=MTIME, size=len(data))
    yield data
    yield tar.padding(len(data))
