"""What an OCI layout's ``index.json`` names, and the small documents of a layout.

Rules kept here: a blob is believed only when its bytes have the digest that named it; an index with
several manifests is refused rather than guessed at; attestations are not counted.
"""

from typing import Final

from envlock.core.digest import Digest
from envlock.oci import document
from envlock.oci.source import Source
from envlock.runtime.errors import InputError, IntegrityError

BLOBS: Final = "blobs/sha256/"

_LARGEST_DOCUMENT: Final = 16 << 20


def one_manifest(source: Source) -> document.Descriptor:
    """Return the one manifest that ``index.json`` names. Raises InputError when there is none or more."""
    return _image_descriptor(source, document.parse(read_file(source, "index.json"), source.where))


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


def _image_descriptor(source: Source, index: document.Members) -> document.Descriptor:
    """Return the one image of an index, nested ones included (``docker save`` writes those)."""
    found: list[document.Descriptor] = []
    for descriptor in document.manifests(index, source.where):
        if descriptor.is_index:
            nested = document.parse(read_blob(source, descriptor), str(descriptor.digest))
            found.append(_image_descriptor(source, nested))
        else:
            found.append(descriptor)
    if len(found) != 1:
        raise InputError(
            "not one image",
            where=source.where,
            expected="one image in index.json",
            found=f"{len(found)}",
            hint="copy the one that you want into a layout of its own, for example with skopeo copy",
        )
    return found[0]
