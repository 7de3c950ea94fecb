"""Checking a whole image: every blob, every layer's archive, and all that must agree.

Returns every mismatch, not the first (go-containerregistry's ``pkg/v1/validate`` does the same).
"""

import hashlib
import tarfile
from collections.abc import Iterator
from typing import IO, cast

from envlock.core.digest import Digest
from envlock.host.files import CHUNK
from envlock.oci import document
from envlock.oci.inflation import Readable, inflated
from envlock.oci.model import Layer
from envlock.oci.reader import OpenedImage
from envlock.runtime.errors import EnvlockError


class _Hashed:
    """A stream whose bytes are hashed as they pass."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._state = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._state.update(data)
        return data

    @property
    def digest(self) -> Digest:
        return Digest(self._state.hexdigest())


def validate(opened: OpenedImage) -> tuple[str, ...]:
    """Return what is wrong with an image, nothing when all is well.

    Manifest and config were checked against their digests when it was opened. Here: the config's
    descriptor, the history's length, each blob's digest and size, each diff ID, and that every layer
    is a tar in which no name comes twice or climbs out.
    """
    return tuple(_problems(opened))


def _problems(opened: OpenedImage) -> Iterator[str]:
    image = opened.image
    config = document.descriptor(document.parse(image.manifest, "manifest").get("config"), "config")
    if (config.digest, config.size) != (image.config_digest, len(image.config)):
        yield f"manifest: config is {config.digest} ({config.size} bytes), not {image.config_digest}"
    history = document.parse(image.config, "config").get("history")
    if isinstance(history, list):
        entries = [one for one in history if isinstance(one, dict) and not one.get("empty_layer")]
        if len(entries) != len(image.layers):
            yield f"config: history describes {len(entries)} layers of {len(image.layers)}"
    for number, layer in enumerate(image.layers):
        for problem in _layer_problems(opened, layer):
            yield f"layer {number} ({layer.blob}): {problem}"


def _layer_problems(opened: OpenedImage, layer: Layer) -> Iterator[str]:
    try:
        with opened.open_blob(layer.blob) as stream:
            plain = _Hashed(inflated(stream, str(layer.blob)))
            yield from _archive_problems(plain)
            while plain.read(CHUNK):
                pass
    except EnvlockError as error:
        yield str(error)
        return
    if plain.digest != layer.diff_id:
        yield f"diff ID is {plain.digest}, not {layer.diff_id}"


def _archive_problems(plain: Readable) -> Iterator[str]:
    names: set[str] = set()
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", plain), mode="r|", bufsize=CHUNK) as archive:
            for member in archive:
                if member.name in names:
                    yield f"{member.name} comes twice"
                if member.name.startswith("/") or ".." in member.name.split("/"):
                    yield f"{member.name} climbs out of the image"
                names.add(member.name)
                archive.members = []  # type: ignore[attr-defined] # tarfile would keep every header
    except tarfile.TarError as error:
        yield f"not a tar: {error}"
