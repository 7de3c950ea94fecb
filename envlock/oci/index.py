"""What an OCI layout's ``index.json`` names, and the small documents of a layout.

Rules kept here: a blob is believed only when its bytes have the digest that named it; of an
index with several manifests the platform's is taken, and none is guessed at; attestations are not counted.
"""

from collections.abc import Iterator
from typing import Final

from envlock.core.digest import Digest
from envlock.oci import document
from envlock.oci.source import Source
from envlock.runtime.errors import InputError, IntegrityError

BLOBS: Final = "blobs/sha256/"

_LARGEST_DOCUMENT: Final = 16 << 20


def one_manifest(source: Source, platform: str | None = None) -> document.Descriptor:
    """Return the one manifest that ``index.json`` names; of several, the one of ``platform``.

    Raises InputError when there is none or more.
    """
    index = document.parse(read_file(source, "index.json"), source.where)
    found = tuple(_images(source, index))
    chosen = [one for one in found if one.platform == platform] if len(found) > 1 and platform else found
    if len(chosen) != 1:
        offered = ", ".join(sorted({one.platform for one in found if one.platform}))
        raise InputError(
            "not one image",
            where=source.where,
            expected=f"one image in index.json{f', or one of {platform}' if platform else ''}",
            found=f"{len(found)}{f' ({offered})' if offered else ''}",
            hint="copy the one that you want into a layout of its own, for example with skopeo copy",
        )
    return chosen[0]


def read_blob(source: Source, descriptor: document.Descriptor) -> bytes:
    """Return a small blob. Raises IntegrityError when it has other bytes than its name says."""
    data = read_file(source, BLOBS + descriptor.digest.hex)
    if Digest.of(data) != descriptor.digest:
        raise IntegrityError(
            "a blob has other bytes than its name says",
            where=source.where,
            expected=str(descriptor.digest),
            found=str(Digest.of(data)),
        )
    return data


def read_file(source: Source, name: str) -> bytes:
    """Return a small file. Raises InputError when it is not there or too large for a document."""
    size = source.size(name)
    if size > _LARGEST_DOCUMENT:
        raise InputError(
            "too large",
            where=f"{source.where}: {name}",
            expected=f"at most {_LARGEST_DOCUMENT} bytes",
            found=f"{size}",
        )
    with source.open(name) as stream:
        return stream.read()


def _images(source: Source, index: document.Members) -> Iterator[document.Descriptor]:
    """Yield the images of an index, those of nested ones included (``docker save`` writes those)."""
    for descriptor in document.manifests(index, source.where):
        if descriptor.is_index:
            nested = document.parse(read_blob(source, descriptor), str(descriptor.digest))
            yield from _images(source, nested)
        else:
            yield descriptor
