"""What a build lacks, told as a whole before anything is fetched or built.

A wheel that an index has is missing only where no index may be asked, and so is a registry's layer.
Whether the bytes are right is for those to find out that use them; here a file counts by its place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from envlock.core.redaction import redacted, without_tokens
from envlock.host.store import Store
from envlock.image import base_copies
from envlock.lock.model import Lock, Package
from envlock.runtime.errors import EnvlockError, InputError, UnreachableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """An artifact that is not here. ``size`` in bytes; ``origin``: where it could come from."""

    name: str
    size: int
    origin: str
    on_index: bool


def missing(lock: Lock, store: Store, lock_directory: Path, *, offline: bool) -> tuple[Missing, ...]:
    """Return what of ``lock`` is neither in the store nor beside the lock nor to be fetched."""
    layers = _layers(lock, store, lock_directory, offline=offline)
    return (*layers, *_wheels(lock, store, lock_directory, offline=offline))


def refuse(found: tuple[Missing, ...]) -> None:
    """Raise one error that names each of ``found``; of none, nothing.

    UnreachableError when indexes have them all, else InputError.
    """
    if not found:
        return
    listed = "".join(f"\n  {one.name}, {_amount(one.size)}: {one.origin}" for one in found)
    on_indexes = all(one.on_index for one in found)
    kind: type[EnvlockError] = UnreachableError if on_indexes else InputError
    raise kind(
        f"{len(found)} of the lock's artifacts {'is' if len(found) == 1 else 'are'} neither in the store nor "
        f"beside the lock nor in a bundle:{listed}",
        hint="run once without --offline, or where an index can be reached: "
        "envlock export --bundle FILE --all-wheels"
        if on_indexes
        else "on the machine that was captured, envlock export --bundle FILE writes what no index has "
        "(--all-wheels: all of it); here, envlock build --from FILE",
    )


def _amount(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 10**6 else f"{size / 1e3:.1f} kB"


def _layers(lock: Lock, store: Store, lock_directory: Path, *, offline: bool) -> Iterator[Missing]:
    for layer in lock.base.layers:
        beside = lock_directory / base_copies.BLOBS / layer.blob.hex
        fetched = lock.base.is_fetched(layer)
        if not (store.path(layer.blob).is_file() or beside.is_file() or (fetched and not offline)):
            made_here = layer.added or lock.base.reference is None
            origin = "packed at capture" if made_here else f"of {base_copies.origin(lock.base)}"
            name = f"base layer {layer.comment or 'without a name'} ({layer.blob})"
            yield Missing(name=name, size=layer.size, origin=origin, on_index=fetched)


def _wheels(lock: Lock, store: Store, lock_directory: Path, *, offline: bool) -> Iterator[Missing]:
    for package in lock.packages:
        if not store.path(package.wheel.sha256).is_file():
            yield from _wheel(package, lock_directory, offline=offline)


def _wheel(package: Package, lock_directory: Path, *, offline: bool) -> Iterator[Missing]:
    wheel = package.wheel
    if wheel.path is None:
        if offline:
            origin = without_tokens(redacted(str(wheel.url)))
            yield Missing(name=f"wheel {wheel.name}", size=wheel.size, origin=origin, on_index=True)
    elif not (lock_directory / wheel.path).is_file():
        origin = f"on no index; at capture it was put at {wheel.path} beside the lock"
        yield Missing(name=f"wheel {wheel.name}", size=wheel.size, origin=origin, on_index=False)
