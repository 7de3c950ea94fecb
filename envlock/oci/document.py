"""The JSON documents of an image, parsed into values: a wrong type is an error that names its place.

OCI image-spec 1.1 (descriptor.md, manifest.md, image-index.md, config.md) and the Docker image
specification 1.2 for ``manifest.json``. Docker's own media types for manifests, indexes and layers
are read as the OCI ones that they became.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeGuard

from envlock.core.digest import Digest
from envlock.oci.model import MEDIA_INDEX, Image, Layer
from envlock.runtime.errors import InputError

Members = Mapping[str, object]

_INDEXES: Final = (MEDIA_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A blob's digest, size in bytes and media type."""

    digest: Digest
    size: int
    media_type: str
    platform: str = ""
    """``linux/amd64``, where an index states it."""

    @property
    def is_index(self) -> bool:
        """Whether the blob is an index of further manifests."""
        return self.media_type in _INDEXES

    def members(self) -> dict[str, object]:
        """Return the descriptor as JSON members."""
        return {"digest": str(self.digest), "mediaType": self.media_type, "size": self.size}


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerManifest:
    """The one entry of ``manifest.json``: file names inside the archive."""

    config: str
    layers: tuple[str, ...]


def parse(data: bytes, where: str) -> Members:
    """Return a JSON object. Raises InputError for anything else."""
    return read_object(_json(data, where), where)


def read_object(value: object, where: str) -> Members:
    """Return a JSON object. Raises InputError for anything else."""
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    return value


def read_array(value: object, where: str) -> list[object]:
    """Return a JSON array. Raises InputError for anything else."""
    if not isinstance(value, list):
        raise _wrong(where, "an array", value)
    return value


def descriptor(value: object, where: str) -> Descriptor:
    """Read a descriptor."""
    members = read_object(value, where)
    digest, size, media_type = (members.get(name) for name in ("digest", "size", "mediaType"))
    if not isinstance(digest, str) or not isinstance(media_type, str):
        raise _wrong(where, "a descriptor with digest and mediaType", members)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _wrong(f"{where}.size", "a number of bytes", size)
    return Descriptor(
        digest=Digest.parse(digest), size=size, media_type=media_type, platform=_platform(members)
    )


def annotations(value: object) -> tuple[tuple[str, str], ...]:
    """Return the annotations of a manifest or descriptor, sorted; what is none is left out."""
    found = value.get("annotations") if isinstance(value, dict) else None
    pairs = found.items() if isinstance(found, dict) else ()
    return tuple(sorted((name, text) for name, text in pairs if isinstance(text, str)))


def manifests(index: Members, where: str) -> Iterator[Descriptor]:
    """Yield the descriptors of an index, without attestations, which are about images and are none."""
    for number, value in enumerate(read_array(index.get("manifests"), f"{where}: manifests")):
        there = f"{where}: manifests[{number}]"
        members = read_object(value, there)
        annotations = members.get("annotations")
        if not (isinstance(annotations, dict) and "vnd.docker.reference.type" in annotations):
            yield descriptor(members, there)


def docker_manifest(data: bytes, where: str) -> DockerManifest:
    """Read ``manifest.json``, which must describe one image."""
    entries = read_array(_json(data, f"{where}: manifest.json"), f"{where}: manifest.json")
    if len(entries) != 1:
        raise InputError(
            "not one image", where=where, expected="one image in manifest.json", found=str(len(entries))
        )
    members = read_object(entries[0], f"{where}: manifest.json[0]")
    config, layers = members.get("Config"), members.get("Layers")
    if not isinstance(config, str) or not _texts(layers):
        raise _wrong(f"{where}: manifest.json[0]", "Config and Layers", members)
    return DockerManifest(config=config, layers=tuple(layers))


def image(manifest: bytes, config: bytes) -> Image:
    """Return the image of these bytes. Raises InputError when config and manifest do not fit together."""
    where = str(Digest.of(manifest))
    layers = read_array(parse(manifest, where).get("layers"), f"{where}: layers")
    blobs = [descriptor(value, f"{where}: layers[{number}]") for number, value in enumerate(layers)]
    there = str(Digest.of(config))
    settings = parse(config, there)
    diff_ids = read_object(settings.get("rootfs"), f"{there}: rootfs").get("diff_ids")
    if not _texts(diff_ids) or len(diff_ids) != len(blobs):
        raise _wrong(f"{there}: rootfs.diff_ids", f"{len(blobs)} digests", diff_ids)
    comments = _comments(settings)
    return Image(
        manifest=manifest,
        config=config,
        layers=tuple(
            Layer(
                diff_id=Digest.parse(diff_id),
                blob=blob.digest,
                size=blob.size,
                media_type=blob.media_type,
                comment=comments[number] if number < len(comments) else "",
                annotations=annotations(layer),
            )
            for number, (layer, blob, diff_id) in enumerate(zip(layers, blobs, diff_ids, strict=True))
        ),
    )


def _comments(settings: Members) -> list[str]:
    """Return what the history says of each layer; entries that made none are skipped."""
    history = settings.get("history")
    entries = [entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else []
    return [
        str(entry.get("comment") or entry.get("created_by") or "")
        for entry in entries
        if not entry.get("empty_layer")
    ]


def _json(data: bytes, where: str) -> object:
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError("not an image", where=where, expected="JSON", found=str(error)) from error
    return value


def _platform(members: Members) -> str:
    """Return the platform that an index states of one of its images (image-index.md)."""
    stated = members.get("platform")
    return f"{stated.get('os')}/{stated.get('architecture')}" if isinstance(stated, dict) else ""


def _texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _wrong(where: str, expected: str, found: object) -> InputError:
    return InputError("not an image", where=where, expected=expected, found=repr(found)[:80])
