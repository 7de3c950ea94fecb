"""Files that are no image, as one OCI archive (OCI image-spec 1.1, manifest.md, "artifact usage").

Rules kept here:

* A manifest with an ``artifactType``, the empty config, and a layer for each file: the file's bytes as
  they are, its name the annotation ``org.opencontainers.image.title``, as oras and others read it.
* The archive is a function of the artifact: sorted members, one fixed time, no compression.
* A title is a relative path that stays below the directory where somebody unpacks it, and is there once.
* Nothing read is believed by its place: manifest and files are held to their digests.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from envlock.core import canonical
from envlock.core.digest import Digest
from envlock.core.progress import Advance
from envlock.host.files import CHUNK
from envlock.host.store import HashingWriter
from envlock.oci import archive, document
from envlock.oci.document import Descriptor
from envlock.oci.index import BLOBS, one_manifest, read_blob
from envlock.oci.layout import LAYOUT_FILE, Blobs, index_of
from envlock.oci.model import MEDIA_EMPTY, MEDIA_MANIFEST
from envlock.oci.path import ImagePath
from envlock.oci.source import ArchiveSource, DirectorySource, Source
from envlock.runtime.errors import InputError

EMPTY: Final = b"{}"
"""The config of what has none (image-spec 1.1, "guidance for an empty descriptor")."""
_TITLE: Final = "org.opencontainers.image.title"
_DIRECTORY: Final = "oci:"
_ARCHIVE: Final = "oci-archive:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactFile:
    """A file of an artifact. ``title`` is its path, relative and in POSIX form."""

    title: str
    blob: Descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What it is, its files in order, annotations of the whole, and the manifest that it is about."""

    artifact_type: str
    files: tuple[ArtifactFile, ...]
    annotations: tuple[tuple[str, str], ...] = ()
    subject: Descriptor | None = None

    @property
    def manifest(self) -> bytes:
        """The manifest's bytes."""
        config = Descriptor(digest=Digest.of(EMPTY), size=len(EMPTY), media_type=MEDIA_EMPTY)
        members: dict[str, object] = {
            "artifactType": self.artifact_type,
            "config": config.members(),
            "layers": [{**file.blob.members(), "annotations": {_TITLE: file.title}} for file in self.files],
            "mediaType": MEDIA_MANIFEST,
            "schemaVersion": 2,
        }
        if self.annotations:
            members["annotations"] = dict(self.annotations)
        if self.subject is not None:
            members["subject"] = self.subject.members()
        return canonical.dumps(members)

    @property
    def size(self) -> int:
        """The files' bytes."""
        return sum(file.blob.size for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedArtifact:
    """An artifact on disk."""

    artifact: Artifact
    source: Source

    @property
    def where(self) -> str:
        """Its name in errors."""
        return self.source.where

    def copy(self, file: ArtifactFile, sink: HashingWriter, advance: Advance) -> None:
        """Write a file's bytes to ``sink``. Raises InputError when they are not there.

        Whether they are the right ones is for the sink's digest to tell.
        """
        with self.source.open(BLOBS + file.blob.digest.hex) as stream:
            while piece := stream.read(CHUNK):
                sink.write(piece)
                advance(len(piece))


def write(artifact: Artifact, blobs: Blobs, file: Path, advance: Advance = lambda _: None) -> None:
    """Write ``artifact`` to ``file`` as an OCI archive, whole or not at all.

    Raises IntegrityError when a file has other bytes than ``artifact`` says.
    """
    manifest = artifact.manifest
    members: dict[str, bytes | Descriptor] = {
        BLOBS + Digest.of(EMPTY).hex: EMPTY,
        BLOBS + Digest.of(manifest).hex: manifest,
        "index.json": index_of(manifest, {"artifactType": artifact.artifact_type}),
        "oci-layout": LAYOUT_FILE,
    }
    members.update((BLOBS + one.blob.digest.hex, one.blob) for one in artifact.files)
    archive.write_members(members, blobs, file, advance)


def open_artifact(reference: str, artifact_type: str) -> OpenedArtifact:
    """Open the artifact in an OCI archive or a layout directory: a path, ``oci:DIR`` or ``oci-archive:FILE``.

    Raises InputError when there is none of ``artifact_type`` or a file of it is missing, IntegrityError
    when its manifest has other bytes than its name says.
    """
    source = _source(reference)
    artifact = parse(read_blob(source, one_manifest(source)), source.where, artifact_type)
    for file in artifact.files:
        _check_there(source, file.blob, file.title)
    return OpenedArtifact(artifact=artifact, source=source)


def parse(manifest: bytes, where: str, artifact_type: str) -> Artifact:
    """Read a manifest. Raises InputError when it is not one of ``artifact_type``, or has unusable titles."""
    members = document.parse(manifest, where)
    found = members.get("artifactType")
    if found != artifact_type:
        raise InputError(
            "another kind of artifact",
            where=where,
            expected=artifact_type,
            found="an image" if found is None else repr(found)[:80],
        )
    files = tuple(_files(members, where))
    return Artifact(artifact_type=artifact_type, files=files, annotations=document.annotations(members))


def _source(reference: str) -> Source:
    path = Path(reference.removeprefix(_DIRECTORY).removeprefix(_ARCHIVE))
    if not path.exists():
        raise InputError("no such file", where=str(path))
    return DirectorySource(path) if path.is_dir() else ArchiveSource(path)


def _files(members: document.Members, where: str) -> Iterator[ArtifactFile]:
    seen: set[str] = set()
    for number, value in enumerate(document.read_array(members.get("layers"), f"{where}: layers")):
        there = f"{where}: layers[{number}]"
        blob = document.descriptor(value, there)
        title = _title(document.read_object(value, there), there)
        if title in seen:
            raise InputError("two files have one title", where=there, found=repr(title))
        seen.add(title)
        yield ArtifactFile(title=title, blob=blob)


def _title(layer: document.Members, where: str) -> str:
    annotations = document.read_object(layer.get("annotations"), f"{where}: annotations")
    title = annotations.get(_TITLE)
    try:
        return ImagePath(f"/{title if isinstance(title, str) else ''}").relative
    except InputError as error:
        raise InputError(
            "not a usable title",
            where=f"{where}: {_TITLE}",
            expected="a relative path that stays below its directory",
            found=repr(title)[:80],
        ) from error


def _check_there(source: Source, blob: Descriptor, title: str) -> None:
    """Raise InputError when the file is missing or cut off, before anything is done with the others."""
    name = BLOBS + blob.digest.hex
    found = source.size(name) if source.has(name) else None
    if found != blob.size:
        raise InputError(
            "a file is missing" if found is None else "a file is cut off or too long",
            where=f"{source.where}: {title}",
            expected=f"{blob.digest} ({blob.size} bytes)",
            found="none" if found is None else f"{found} bytes",
        )
