"""Two images read and compared: each layer once, and none where both have the same."""

import json
from collections.abc import Mapping
from typing import Final

from envlock.core.digest import Digest
from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.image.difference import ImageDifference, Side, difference
from envlock.lock import codec
from envlock.lock.model import Lock
from envlock.oci.contents import LayerContents, merged, read_layer
from envlock.oci.model import Image
from envlock.oci.reader import OpenedImage
from envlock.oci.source import DirectorySource
from envlock.runtime.errors import EnvlockError

_LOCK: Final = "/opt/envlock/pylock.envlock.toml"


def in_store(image: Image, store: Store) -> OpenedImage:
    """Return an image whose layers lie in ``store``, to be read there."""
    places = {layer.blob: f"blobs/sha256/{layer.blob.hex}" for layer in image.layers}
    return OpenedImage(image=image, source=DirectorySource(store.root), places=places)


def compare(a: OpenedImage, b: OpenedImage, progress: Progress) -> ImageDifference:
    """Return what changes from ``a`` to ``b``. Raises what reading their layers does."""
    known: dict[Digest, LayerContents] = {}
    if [layer.diff_id for layer in a.image.layers] != [layer.diff_id for layer in b.image.layers]:
        pairs = {layer.diff_id: (image, layer) for image in (a, b) for layer in image.image.layers}
        total = sum(layer.size for _, layer in pairs.values())
        with progress.task("reading layers", total, "B") as advance:
            for diff_id, (image, layer) in pairs.items():
                known[diff_id] = read_layer(image, layer, _is_wanted)
                advance(layer.size)
    return difference(_side(a, known), _side(b, known))


def _is_wanted(path: str) -> bool:
    return path == _LOCK or path.endswith(".dist-info/RECORD")


def _side(opened: OpenedImage, known: Mapping[Digest, LayerContents]) -> Side:
    image = opened.image
    contents = [known[layer.diff_id] for layer in image.layers if layer.diff_id in known]
    kept = {path: data for one in contents for path, data in one.kept.items()}
    return Side(
        digest=image.digest,
        config=json.loads(image.config),
        layers=image.layers,
        files=merged(contents),
        records={path: data for path, data in kept.items() if path != _LOCK},
        lock=_lock(kept.get(_LOCK)),
    )


def _lock(data: bytes | None) -> Lock | None:
    """Return the lock inside an image; without one, or with one that can't be read, reasons are unknown."""
    try:
        return None if data is None else codec.loads(data, _LOCK)
    except EnvlockError:
        return None
