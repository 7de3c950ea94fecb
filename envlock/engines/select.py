"""Which engine runs which image.

An image reference is what ``envlock build -o`` writes: ``oci:DIR``, ``oci-archive:FILE``,
``docker-archive:FILE``, ``docker:TAG``, ``podman:TAG``, ``registry:REFERENCE``. A plain word is a path
where there is one, else a tag in the engine.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from envlock.core.progress import Progress
from envlock.engines import docker, embedded, podman, pulled
from envlock.engines.engine import Engine
from envlock.host.store import Store
from envlock.oci.reader import OpenedImage
from envlock.oci.registry.reference import SCHEME
from envlock.runtime.errors import InputError, UsageError

ENGINES: Final = ("embedded", "docker", "podman")
DEFAULT_IMAGE: Final = Path(".envlock", "image")
_ON_DISK = ("oci:", "oci-archive:", "docker-archive:")


class _Keeper(Protocol):
    """An engine that keeps images of its own."""

    def prepare(self, opened: OpenedImage, store: Store, progress: Progress) -> Engine:
        """Return the engine for an image on disk."""
        ...

    def tagged(self, tag: str, store: Store, /) -> Engine:
        """Return the engine for an image that it has."""
        ...


_KEEPERS: Final[Mapping[str, _Keeper]] = {"docker": docker, "podman": podman}


def default_reference(directory: Path) -> str:
    """Return the image that ``envlock build`` left beside the lock. Raises InputError when there is none."""
    place = directory / DEFAULT_IMAGE
    if not place.is_dir():
        raise InputError(
            "there is no image here",
            where=str(place),
            hint="envlock build makes one; or name one with --image",
        )
    return f"oci:{place}"


def prepare(engine: str, reference: str, store: Store, progress: Progress) -> Engine:
    """Return ``engine`` (one of ENGINES) with the image ``reference`` ready to run.

    Raises UsageError when the engine can't have the image, and what opening and loading it raise.
    """
    keeper, _, tag = _explicit(reference, engine).partition(":")
    if keeper not in _KEEPERS:
        opened = pulled.open_named(reference, store, progress)
        if engine in _KEEPERS:
            return _KEEPERS[engine].prepare(opened, store, progress)
        return embedded.prepare(opened, store, progress)
    if engine == keeper:
        return _KEEPERS[keeper].tagged(tag, store)
    own = f"{engine}:TAG, " if engine in _KEEPERS else ""
    raise UsageError(
        f"{engine} does not have this image",
        where=f"{keeper}:{tag}",
        expected=f"{own}{', '.join(f'{kind}…' for kind in _ON_DISK)}",
        hint=f"add --engine {keeper}, or envlock build -o oci:DIR",
    )


def _explicit(reference: str, engine: str) -> str:
    schemes = (*_ON_DISK, SCHEME, *(f"{keeper}:" for keeper in _KEEPERS))
    if reference.startswith(schemes) or Path(reference).exists():
        return reference
    return f"{engine if engine in _KEEPERS else 'docker'}:{reference}"
