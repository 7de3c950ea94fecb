"""The files of an image or a container, unpacked on this machine to be read.

A reference is what ``envlock build -o`` writes (``oci:DIR``, ``oci-archive:FILE``,
``docker-archive:FILE``), ``docker:IMAGE``, or ``docker-container:NAME``. A plain word is a path where
there is one, else an image of the Docker engine. Images are unpacked once, under the name of their
config, and shared with the embedded engine; a container changes, so its files are gone afterwards.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from envlock.core.digest import Digest
from envlock.core.progress import Progress
from envlock.engines import configuration, docker, pulled, rootfs
from envlock.engines.configuration import ImageConfiguration
from envlock.host.files import scratch_directory
from envlock.host.store import Store
from envlock.oci.extraction import RootFilesystem
from envlock.oci.reader import OpenedImage, open_image
from envlock.oci.registry.reference import SCHEME
from envlock.runtime.errors import InputError, UsageError

_IMAGE: Final = "docker:"
_CONTAINER: Final = "docker-container:"
_ON_DISK: Final = ("oci:", "oci-archive:", "docker-archive:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """Where the files lie, and the config that they came with."""

    root: Path
    configuration: ImageConfiguration


@contextmanager
def unpacked(reference: str, store: Store, progress: Progress) -> Iterator[Unpacked]:
    """Yield the files of ``reference``.

    Raises UsageError for an empty name, InputError when there is no such image or it is for another
    kind of machine, UnreachableError when the Docker engine does not answer, and what extraction raises.
    """
    if not reference.removeprefix(_CONTAINER).removeprefix(_IMAGE):
        raise UsageError(
            "no image is named", where=repr(reference), expected="an image or a container, docker:IMAGE"
        )
    if reference.startswith(_CONTAINER):
        with _container(reference.removeprefix(_CONTAINER), store, progress) as found:
            yield found
    elif _is_named(reference):
        image = pulled.open_named(reference, store, progress)
        settings = for_this_machine(image.image.config, reference)
        yield Unpacked(root=rootfs.prepared(image, store, progress), configuration=settings)
    else:
        yield _image(reference.removeprefix(_IMAGE), store, progress)


@contextmanager
def opened(
    reference: str, store: Store, progress: Progress, ca_bundle: str | None = None
) -> Iterator[OpenedImage]:
    """Yield an image as it is, not unpacked. Raises as :func:`unpacked`."""
    if _is_named(reference):
        yield pulled.open_named(reference, store, progress, ca_bundle)
        return
    with _incoming(store) as scratch:
        yield _saved(docker.image_kept(reference.removeprefix(_IMAGE)), scratch / "image.tar", progress)


def _is_named(reference: str) -> bool:
    """Say whether the reference is of a registry or of this disk, rather than of the Docker engine."""
    if reference.startswith((SCHEME, *_ON_DISK)):
        return True
    return not reference.startswith(_IMAGE) and Path(reference).exists()


def _image(name: str, store: Store, progress: Progress) -> Unpacked:
    kept = docker.image_kept(name)
    settings = for_this_machine(kept.config, name)
    # An engine with the classic image store names an image by its config's digest.
    tree = rootfs.found(Digest.parse(kept.identity), store)
    if tree is None:
        with _incoming(store) as scratch:
            tree = rootfs.prepared(_saved(kept, scratch / "image.tar", progress), store, progress)
    return Unpacked(root=tree, configuration=settings)


def _saved(kept: docker.Kept, file: Path, progress: Progress) -> OpenedImage:
    with progress.task("saving the image from Docker", None), file.open("wb") as stream:
        docker.save(kept, stream)
    return open_image(f"docker-archive:{file}")


@contextmanager
def _container(name: str, store: Store, progress: Progress) -> Iterator[Unpacked]:
    kept = docker.container_kept(name)
    settings = for_this_machine(kept.config, name)
    with _incoming(store) as scratch:
        archive, root = scratch / "container.tar", scratch / "root"
        with progress.task("exporting the container from Docker", None), archive.open("wb") as stream:
            docker.export(kept, stream)
        with progress.task("extract the container", None), archive.open("rb") as source:
            tree = RootFilesystem(root)
            tree.apply(source, name)
            tree.finish()
        archive.unlink()
        rootfs.mount_points(root)
        yield Unpacked(root=root, configuration=settings)


@contextmanager
def _incoming(store: Store) -> Iterator[Path]:
    """Yield a scratch directory on the store's disk: /tmp may be too small for an image."""
    place = store.root / "incoming"
    place.mkdir(parents=True, exist_ok=True)
    with scratch_directory(place) as scratch:
        yield scratch


def for_this_machine(config: bytes, where: str) -> ImageConfiguration:
    """Return the config of an image that can run here. Raises InputError for another platform."""
    settings = configuration.parse(config, where)
    own = pulled.own_platform()
    if settings.platform not in ("", own):
        raise InputError(
            "the image is for another kind of machine",
            where=where,
            expected=own,
            found=settings.platform,
            hint="capture it on such a machine: its interpreter has to run",
        )
    return settings
