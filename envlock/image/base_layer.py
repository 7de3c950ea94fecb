"""A base's layer as the lock pins it and as an image has it: the same facts in two packages' words. Pure."""

from envlock.lock.model import BaseLayer
from envlock.oci.model import Layer


def pinned(layer: Layer) -> BaseLayer:
    """Return ``layer`` as a lock pins it."""
    return BaseLayer(
        diff_id=layer.diff_id,
        blob=layer.blob,
        size=layer.size,
        media_type=layer.media_type,
        comment=layer.comment,
        annotations=layer.annotations,
    )


def of_image(layer: BaseLayer) -> Layer:
    """Return ``layer`` as an image has it."""
    return Layer(
        diff_id=layer.diff_id,
        blob=layer.blob,
        size=layer.size,
        media_type=layer.media_type,
        comment=layer.comment,
        annotations=layer.annotations,
    )
