"""An image into a Docker engine that lacks some of its layers.

Rules kept here:

* Layers that the engine has are not sent (:mod:`envlock.engines.docker_layers`).
* To Docker on this machine they are sent inflated: its own inflating takes three times as long as zlib-ng,
  and longer still by ``unpigz``, which starts threads for each of a layer's many gzip members. Docker
  checks their diff IDs, as always.
* They go there in parts, each an image of the layers so far, as ``docker save`` writes one (Docker image
  specification 1.2). While one part is unpacked the next is sent, so that only these two ever lie in the
  engine's temporary directory. The parts' images are removed in the end.
* Every other engine is sent the archive that :mod:`envlock.oci.archive` writes.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import docker
from docker.errors import DockerException, ImageLoadError

from envlock.core import canonical
from envlock.core.digest import Digest
from envlock.engines import docker_layers
from envlock.oci import archive, document, tar
from envlock.oci.estargz import UNCOMPRESSED_SIZE
from envlock.oci.inflation import inflated
from envlock.oci.layer import MTIME, cut
from envlock.oci.layout import Blobs, descriptor, open_blob
from envlock.oci.model import MEDIA_LAYER_GZIP, Image, Layer
from envlock.oci.name import ImageName
from envlock.runtime.errors import IntegrityError

_SOCKET: Final = "http+docker://localhost"
"""What the SDK calls any socket of this machine."""
_PART: Final = 64 << 20
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """An image of some layers, of which the engine is sent the last ones."""

    config: bytes
    layers: tuple[Layer, ...]
    sent: tuple[Layer, ...]
    names: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """The image's ID in the engine."""
        return str(Digest.of(self.config))


def send(client: docker.DockerClient, image: Image, blobs: Blobs, tag: str) -> None:
    """Load ``image`` into the engine as ``tag``. Raises as the SDK does, IntegrityError for wrong bytes."""
    if not docker_layers.opens_what_it_lacks(client):
        _receive(client, archive.pieces(image, blobs, tag))
        return
    held = docker_layers.held(client, image)
    local = client.api.base_url == _SOCKET
    parts = _parts(image, held, tag) if local else ()
    try:
        if parts:
            _send_parts(client, parts, blobs)
        else:
            there = {layer.blob for layer in image.layers[:held]}
            _receive(client, archive.pieces(image, blobs, tag, without=there))
    except DockerException:
        if not held and len(parts) < 2:  # noqa: PLR2004
            raise
        # An image that had the layers may just have been removed.
        _receive(client, archive.pieces(image, blobs, tag))


def _receive(client: docker.DockerClient, pieces: Iterator[bytes]) -> None:
    # What has no read() is sent in chunks (RFC 9112, 7.1). Read to its end, an answer frees its connection.
    told = list(client.api.load_image(pieces))  # type: ignore[no-untyped-call] # docker-py
    if faults := [str(one["error"]) for one in told if "error" in one]:
        raise ImageLoadError(faults[0])


def _parts(image: Image, held: int, tag: str) -> tuple[_Part, ...]:
    """Return the image in parts of at least _PART bytes, the last of them all of it."""
    parts, first, size = [], held, 0
    for end, layer in enumerate(image.layers[held:-1], held + 1):
        size += _unpacked(layer) or layer.size
        if size >= _PART:
            layers = image.layers[:end]
            parts.append(_Part(config=_config(image, layers), layers=layers, sent=layers[first:]))
            first, size = end, 0
    names = (str(ImageName.parse(tag)),)
    whole = _Part(config=image.config, layers=image.layers, sent=image.layers[first:], names=names)
    return (*parts, whole)


def _config(image: Image, layers: Sequence[Layer]) -> bytes:
    """Return the config of an image that is there for its layers only."""
    whole = document.parse(image.config, str(image.config_digest))
    platform = {name: whole[name] for name in ("architecture", "os") if name in whole}
    diff_ids = [str(layer.diff_id) for layer in layers]
    return canonical.dumps({**platform, "rootfs": {"type": "layers", "diff_ids": diff_ids}})


def _send_parts(client: docker.DockerClient, parts: Sequence[_Part], blobs: Blobs) -> None:
    made: list[str] = []
    before: Future[None] | None = None
    try:
        for part in parts:
            sending = _begun(partial(_receive, client, _pieces(part, blobs, before)))
            if before is not None:
                before.result()
            before = sending
            if not part.names:
                made.append(part.identity)
        if before is not None:
            before.result()
    finally:
        for identity in made:
            with suppress(DockerException):
                client.images.remove(identity)


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
        for piece in cut(iter(partial(plain.read, _PIECE), b""), _PIECE):
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
