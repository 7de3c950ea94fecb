"""What is told about an image beside it: its bill of materials and how it was made.

Both are functions of the lock, the options and the image; the image's own digest knows nothing of them.
"""

import importlib
from dataclasses import dataclass
from typing import Any, Final

from envlock.core.digest import Digest
from envlock.image import provenance, runtime
from envlock.image.plan import BuildOptions
from envlock.lock.model import Lock
from envlock.oci import document
from envlock.oci.artifact import Artifact, ArtifactFile
from envlock.oci.document import Descriptor
from envlock.oci.model import MEDIA_MANIFEST, Image

_MEDIA_CYCLONEDX: Final = "application/vnd.cyclonedx+json"
_MEDIA_IN_TOTO: Final = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A document about an image. ``suffix``: what is appended to a file's name, ``cdx.json``."""

    suffix: str
    media_type: str
    data: bytes
    annotations: tuple[tuple[str, str], ...] = ()

    def artifact(self, image: Image) -> Artifact:
        """Return the document as what an OCI registry lists under ``image``."""
        described = Descriptor(digest=Digest.of(self.data), size=len(self.data), media_type=self.media_type)
        return Artifact(
            artifact_type=self.media_type,
            files=(ArtifactFile(title=f"image.{self.suffix}", blob=described),),
            annotations=self.annotations,
            subject=Descriptor(digest=image.digest, size=len(image.manifest), media_type=MEDIA_MANIFEST),
        )


def bill(lock: Lock, image: Image) -> Attachment:
    """Return the image's bill of materials, CycloneDX 1.6."""
    # It costs a sixth of a second to import: only who asks for it pays.
    cyclonedx: Any = importlib.import_module("envlock.lock.export.cyclonedx")
    facts = cyclonedx.ImageFacts(
        manifest=image.digest,
        runtime=Digest.parse(_labels(image)["dev.envlock.runtime"]),
        carried=runtime.carried(),
    )
    return Attachment(suffix="cdx.json", media_type=_MEDIA_CYCLONEDX, data=cyclonedx.dumps(lock, facts))


def statement(lock: Lock, lock_bytes: bytes, image: Image, options: BuildOptions) -> Attachment:
    """Return how the image was made: an in-toto statement with SLSA provenance."""
    data = provenance.statement(
        lock, lock_bytes=lock_bytes, image=image, options=options, labels=_labels(image)
    )
    return Attachment(
        suffix="provenance.json",
        media_type=_MEDIA_IN_TOTO,
        data=data,
        annotations=(("in-toto.io/predicate-type", provenance.PREDICATE_TYPE),),
    )


def _labels(image: Image) -> dict[str, str]:
    where = str(image.config_digest)
    config = document.read_object(document.parse(image.config, where).get("config"), f"{where}: config")
    labels = document.read_object(config.get("Labels"), f"{where}: config.Labels")
    return {name: str(value) for name, value in labels.items()}
