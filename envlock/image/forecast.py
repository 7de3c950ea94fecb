"""What building a plan would do: which layers the store has, which must be made, what must be fetched.

Reads what the store remembers, and writes nothing. A layer that is known is known by its digest, so a
registry can be asked for it.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from envlock.core.progress import Silent
from envlock.host.store import HashingWriter, Store
from envlock.image import bytecode_layers, interpreter
from envlock.image.assemble import compiler
from envlock.image.base_copies import BLOBS
from envlock.image.layers import entries, recalled
from envlock.image.plan import FileLayer, ImagePlan
from envlock.image.project import COMMENT, ProjectTree
from envlock.lock.model import Lock, Package
from envlock.oci.layer import write_layer
from envlock.oci.model import Layer

State = Literal["cached", "build", "fetch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A layer of an image that was not built yet.

    ``size`` is the layer's bytes where ``layer`` is known, else those of its wheels, else None.
    ``state``: the store has it, it must be built, or it must be brought from elsewhere.
    """

    holds: str
    size: int | None
    state: State
    layer: Layer | None = None


def forecast(
    planned: ImagePlan, lock: Lock, store: Store, lock_directory: Path, project: ProjectTree | None
) -> tuple[Forecast, ...]:
    """Return the layers of ``planned``, bottom first, without those of bytecode that are known as empty."""
    return (
        *(_of_base(layer, store, lock_directory) for layer in planned.base),
        *_built(planned, lock, store),
        *(_of_files(layer, store) for layer in planned.own),
        *(() if project is None else (Forecast(holds=COMMENT, size=project.size, state="build"),)),
    )


def to_fetch(lock: Lock, store: Store, lock_directory: Path) -> tuple[Package, ...]:
    """Return the packages whose wheels are neither in the store nor beside the lock."""
    return tuple(
        one
        for one in lock.packages
        if not store.path(one.wheel.sha256).is_file()
        and not (one.wheel.path is not None and (lock_directory / one.wheel.path).is_file())
    )


def _of_base(layer: Layer, store: Store, lock_directory: Path) -> Forecast:
    here = store.find(layer.blob) is not None or (lock_directory / BLOBS / layer.blob.hex).is_file()
    state: State = "cached" if here else "fetch"
    return Forecast(holds=layer.comment or "base", size=layer.size, state=state, layer=layer)


def _built(planned: ImagePlan, lock: Lock, store: Store) -> Iterator[Forecast]:
    minor = lock.python.minor
    layers, without = recalled(planned.groups, minor=minor, store=store)
    for group, layer in zip(planned.groups, layers, strict=True):
        yield _forecast(group.comment, layer, group.size)
    if not planned.bytecode:
        return
    nowhere = {package.name: Path() for package in lock.packages}
    contents = (
        *bytecode_layers.of_wheels(planned.groups, nowhere, without, minor, store),
        bytecode_layers.of_files(planned.own[0].files, planned.own[0].comment, store),
    )
    tag = interpreter.cache_tag(lock.python)
    known = bytecode_layers.recalled(contents, compiler(lock, store, Silent()), tag)
    for content, found in zip(contents, known, strict=True):
        if found != (None,):
            yield _forecast(content.comment, found[0] if found else None, None)


def _forecast(holds: str, layer: Layer | None, size: int | None) -> Forecast:
    if layer is None:
        return Forecast(holds=holds, size=size, state="build")
    return Forecast(holds=holds, size=layer.size, state="cached", layer=layer)


def _of_files(layer: FileLayer, store: Store) -> Forecast:
    """Make a layer of envlock's own files, which are few, for its digest alone."""
    made = write_layer(entries(layer.files), HashingWriter(io.BytesIO()), comment=layer.comment)
    state: State = "build" if store.find(made.blob) is None else "cached"
    return Forecast(holds=layer.comment, size=made.size, state=state, layer=made)
