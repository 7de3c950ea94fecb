"""Descriptors, layers and images as values (OCI image-spec 1.1: descriptor.md, config.md, manifest.md)."""

from collections.abc import Callable
from dataclasses import dataclass

from envlock.core import canonical
from envlock.core.digest import Digest

MEDIA_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MEDIA_CONFIG = "application/vnd.oci.image.config.v1+json"
MEDIA_INDEX = "application/vnd.oci.image.index.v1+json"
MEDIA_EMPTY = "application/vnd.oci.empty.v1+json"
MEDIA_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer whose blob lies in the store: ``blob`` is the compressed digest, ``size`` its bytes."""

    diff_id: Digest
    blob: Digest
    size: int
    media_type: str = MEDIA_LAYER_GZIP
    comment: str = ""
    """What the layer holds, for the history entry."""
    annotations: tuple[tuple[str, str], ...] = ()
    """Names and values for the layer's descriptor, sorted."""


Made = Callable[[Layer], None]
"""Is told of a layer that lies in the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A finished image: the exact bytes of manifest and config, and its layers, bottom first."""

    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> Digest:
        """The manifest's digest: the image's name in a registry."""
        return Digest.of(self.manifest)

    @property
    def config_digest(self) -> Digest:
        """The config's digest: what Docker shows as the image ID."""
        return Digest.of(self.config)

    @property
    def media_type(self) -> str:
        """The manifest's."""
        return MEDIA_MANIFEST

    @property
    def images(self) -> "tuple[Image, ...]":
        """The image itself, as the only one."""
        return (self,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageIndex:
    """One name for an image of each of several platforms (image-spec 1.1, image-index.md)."""

    platforms: tuple[tuple[str, Image], ...]
    """``linux/amd64`` and its image, sorted by platform."""

    @property
    def images(self) -> tuple[Image, ...]:
        """The images, in order."""
        return tuple(image for _, image in self.platforms)

    @property
    def manifest(self) -> bytes:
        """The index's bytes."""
        return canonical.dumps(
            {
                "manifests": [_listed(platform, image) for platform, image in self.platforms],
                "mediaType": MEDIA_INDEX,
                "schemaVersion": 2,
            }
        )

    @property
    def digest(self) -> Digest:
        """The index's digest: the name in a registry."""
        return Digest.of(self.manifest)

    @property
    def media_type(self) -> str:
        """The index's."""
        return MEDIA_INDEX


def _listed(platform: str, image: Image) -> dict[str, object]:
    system, _, architecture = platform.partition("/")
    return {
        "digest": str(image.digest),
        "mediaType": MEDIA_MANIFEST,
        "platform": {"architecture": architecture, "os": system},
        "size": len(image.manifest),
    }
