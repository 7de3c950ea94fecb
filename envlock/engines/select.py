"""Which engine runs which image.

An image reference is what ``envlock build -o`` writes: ``oci:DIR``, ``oci-archive:FILE``,
``docker-archive:FILE``, ``docker:TAG``, ``registry:REFERENCE``. A plain word is a path where there is
one, else a tag.
"""

from pathlib import Path
from typing import Final

from envlock.core.progress import Progress
from envlock.engines import docker, embedded, pulled
from envlock.engines.engine import Engine
from envlock.host.store import Store
from envlock.runtime.errors import InputError, UsageError

ENGINES: Final = ("embedded", "docker")
DEFAULT_IMAGE: Final = Path(".envlock", "image")
_ON_DISK = ("oci:", "oci-archive:", "docker-archive:")
_IN_DOCKER = "docker:"


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
    reference = _explicit(reference)
    if not reference.startswith(_IN_DOCKER):
        opened = pulled.open_named(reference, store, progress)
        if engine == "docker":
            return docker.prepare(opened, progress)
        return embedded.prepare(opened, store, progress)
    if engine == "docker":
        return docker.tagged(reference.removeprefix(_IN_DOCKER))
    raise UsageError(
        "the embedded engine runs images on disk",
        where=reference,
        expected=", ".join(f"{kind}…" for kind in _ON_DISK),
        hint="add --engine docker, or envlock build -o oci:DIR",
    )


def _explicit(reference: str) -> str:
    if reference.startswith((*_ON_DISK, _IN_DOCKER, pulled.SCHEME)) or Path(reference).exists():
        return reference
    return f"{_IN_DOCKER}{reference}"
