"""Small layers and images, made through the real writers into a real store."""

import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from envlock.core import canonical
from envlock.core.digest import Digest
from envlock.host.store import Store
from envlock.oci.layer import Entry, write_layer
from envlock.oci.model import MEDIA_CONFIG, MEDIA_MANIFEST, Image, Layer
from envlock.oci.path import ImagePath


class Builder:
    """Writes layers into a store and puts images together by hand."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root)

    def layer(self, *entries: Entry) -> Layer:
        with self.store.writing() as sink:
            return write_layer(entries, sink, comment="made by a test")

    def tar_layer(self, members: Iterable[tuple[tarfile.TarInfo, bytes]], *, compress: bool = True) -> Layer:
        """A layer as somebody else's tool writes it."""
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as archive:
            for info, data in members:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return self.raw_layer(plain.getvalue(), compress=compress)

    def raw_layer(self, plain: bytes, *, compress: bool = True) -> Layer:
        blob = gzip.compress(plain, mtime=0) if compress else plain
        with self.store.writing() as sink:
            sink.write(blob)
        kind = "tar+gzip" if compress else "tar"
        return Layer(
            diff_id=Digest.of(plain),
            blob=Digest.of(blob),
            size=len(blob),
            media_type=f"application/vnd.oci.image.layer.v1.{kind}",
        )

    def image(self, *layers: Layer) -> Image:
        config = canonical.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {},
                "history": [{"comment": layer.comment} for layer in layers],
                "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]},
            }
        )
        descriptor = {"digest": str(Digest.of(config)), "mediaType": MEDIA_CONFIG, "size": len(config)}
        blobs = [
            {
                "digest": str(one.blob),
                "mediaType": one.media_type,
                "size": one.size,
                "annotations": dict(one.annotations),
            }
            for one in layers
        ]
        manifest = canonical.dumps(
            {"schemaVersion": 2, "mediaType": MEDIA_MANIFEST, "config": descriptor, "layers": blobs}
        )
        return Image(manifest=manifest, config=config, layers=layers)


def file(path: str, data: bytes = b"", mode: int = 0o644) -> Entry:
    return Entry(path=ImagePath(path), mode=mode, content=data)
