"""What ``envlock build`` makes: an image for each platform and the documents about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envlock.image.attachments import Attachment
from envlock.oci.model import Image, ImageIndex

if TYPE_CHECKING:  # only a build that was asked for a proof imports what makes it
    from envlock.cli.verification import Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """An image, its platform (``linux/amd64``), the documents about it, and the proof where one was asked."""

    image: Image
    platform: str
    attachments: tuple[Attachment, ...] = ()
    proof: "Verification | None" = None

    @property
    def holds(self) -> bool:
        """Whether no proof speaks against the image."""
        return self.proof is None or self.proof.holds


def combined(products: Sequence[Product]) -> Image | ImageIndex:
    """Return the one image, or the index of several."""
    if len(products) == 1:
        return products[0].image
    platforms = sorted((one.platform, one.image) for one in products)
    return ImageIndex(platforms=tuple(platforms))


def summary(products: Sequence[Product]) -> dict[str, object]:
    """Return the products as JSON members."""
    if len(products) == 1:
        return _members(products[0])
    return {"manifest": str(combined(products).digest), "images": [_members(one) for one in products]}


def _members(product: Product) -> dict[str, object]:
    image = product.image
    proven = {} if product.proof is None else {"verified": product.proof.members()}
    return {
        **proven,
        "platform": product.platform,
        "manifest": str(image.digest),
        "config": str(image.config_digest),
        "size": sum(layer.size for layer in image.layers),
        "layers": [
            {
                "diff-id": str(layer.diff_id),
                "blob": str(layer.blob),
                "size": layer.size,
                "holds": layer.comment,
            }
            for layer in image.layers
        ],
    }
