"""Reading images from disk: OCI layouts, OCI archives and ``docker save`` archives.

Rules kept here:

* Manifest and config are believed only when their bytes have the digest that named them; a layer's
  bytes are hashed while they are read, and its end is refused when they are wrong.
* Of an index with several images the platform's is taken, none is guessed at; attestations are no images.
* A Docker archive without OCI parts gets a manifest made from its config and its layers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from envlock.core import canonical
from envlock.core.digest import Digest
from envlock.host.files import stream_digest
from envlock.oci import document
from envlock.oci.extraction import RootFilesystem
from envlock.oci.index import BLOBS, one_manifest, read_blob, read_file
from envlock.oci.inflation import inflated
from envlock.oci.model import MEDIA_CONFIG, MEDIA_LAYER_GZIP, MEDIA_MANIFEST, Image
from envlock.oci.source import ArchiveSource, DirectorySource, Source, verified
from envlock.runtime.errors import InputError, IntegrityError

_MEDIA_LAYER_TAR: Final = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedImage:
    """An image on disk. ``places`` maps each layer's blob digest to its file in ``source``."""

    image: Image
    source: Source
    places: Mapping[Digest, str]

    def open_blob(self, digest: Digest) -> IO[bytes]:
        """Return a layer's bytes; reading to their end raises IntegrityError when they are wrong."""
        name = self.places.get(digest)
        if name is None:
            raise InputError("no such layer", where=self.source.where, found=str(digest))
        size = next(layer.size for layer in self.image.layers if layer.blob == digest)
        return verified(self.source.open(name), digest, size)


def open_image(reference: str, platform: str | None = None) -> OpenedImage:
    """Open ``oci:DIR``, ``oci-archive:FILE``, ``docker-archive:FILE`` or a path of one of these.

    ``platform``, ``linux/amd64``, picks where there are several.

    Raises InputError when there is no such image, IntegrityError when manifest or config have other
    bytes than their digests say.
    """
    scheme, colon, path = reference.partition(":")
    opener = _OPENERS.get(scheme)
    if colon and opener is not None:
        return opener(Path(path), platform)
    return _open_path(Path(reference), platform)


def extract(opened: OpenedImage, directory: Path) -> None:
    """Unpack the layers in order into ``directory`` (:mod:`envlock.oci.extraction`).

    Raises InputError for a malformed or hostile layer and IntegrityError for a blob with wrong bytes;
    what was unpacked until then stays, so the caller unpacks into a directory that it can discard.
    """
    root = RootFilesystem(directory)
    for layer in opened.image.layers:
        with opened.open_blob(layer.blob) as stream:
            root.apply(inflated(stream, str(layer.blob)), str(layer.blob))
    root.finish()


def _open_path(path: Path, platform: str | None) -> OpenedImage:
    if path.is_dir():
        return _open_oci(DirectorySource(path), platform)
    if not path.is_file():
        raise InputError(
            "no such image",
            where=str(path),
            expected="an OCI layout directory, an archive, or oci:DIR, oci-archive:FILE, docker-archive:FILE",
        )
    source = ArchiveSource(path)
    return _open_oci(source, platform) if source.has("index.json") else _open_docker(source)


def _open_oci(source: Source, platform: str | None = None) -> OpenedImage:
    descriptor = one_manifest(source, platform)
    manifest = read_blob(source, descriptor)
    parsed = document.parse(manifest, str(descriptor.digest))
    config = read_blob(source, document.descriptor(parsed.get("config"), f"{descriptor.digest}: config"))
    image = document.image(manifest, config)
    places = {layer.blob: BLOBS + layer.blob.hex for layer in image.layers}
    return OpenedImage(image=image, source=source, places=places)


def _open_docker(source: Source) -> OpenedImage:
    entry = document.docker_manifest(read_file(source, "manifest.json"), source.where)
    config = read_file(source, entry.config)
    named = entry.config.rpartition("/")[2].removesuffix(".json")
    if named != Digest.of(config).hex:
        raise IntegrityError(
            "the config has other bytes than its name says",
            where=f"{source.where}: {entry.config}",
            expected=named,
            found=Digest.of(config).hex,
        )
    blobs = [_layer_blob(source, name) for name in entry.layers]
    manifest = _manifest(config, blobs)
    places = {blob.digest: name for blob, name in zip(blobs, entry.layers, strict=True)}
    return OpenedImage(image=document.image(manifest, config), source=source, places=places)


def _layer_blob(source: Source, name: str) -> document.Descriptor:
    """Describe a layer's file. Its digest is its name where it has one, else its bytes are hashed."""
    size = source.size(name)
    with source.open(name) as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    if name.startswith(BLOBS):
        digest = Digest(name.removeprefix(BLOBS))
    else:
        with source.open(name) as stream:
            digest = stream_digest(stream)
    media_type = MEDIA_LAYER_GZIP if compressed else _MEDIA_LAYER_TAR
    return document.Descriptor(digest=digest, size=size, media_type=media_type)


def _manifest(config: bytes, blobs: list[document.Descriptor]) -> bytes:
    head = document.Descriptor(digest=Digest.of(config), size=len(config), media_type=MEDIA_CONFIG)
    return canonical.dumps(
        {
            "config": head.members(),
            "layers": [blob.members() for blob in blobs],
            "mediaType": MEDIA_MANIFEST,
            "schemaVersion": 2,
        }
    )


_OPENERS: Final[Mapping[str, Callable[[Path, str | None], OpenedImage]]] = {
    "oci": lambda path, platform: _open_oci(DirectorySource(path), platform),
    "oci-archive": lambda path, platform: _open_oci(ArchiveSource(path), platform),
    "docker-archive": lambda path, _: _open_docker(ArchiveSource(path)),
}
