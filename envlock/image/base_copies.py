"""Copies of base layers beside a lock, in ``.envlock/blobs``: what no index and no registry has.

``keep`` puts them there at capture, ``bring`` takes them into the store at build. Nothing is believed
but bytes with the lock's digest.
"""

from pathlib import Path

from envlock.host.store import Store
from envlock.lock.model import Base, BaseLayer
from envlock.runtime.errors import InputError, IntegrityError
from envlock.wheels import sidecar

BLOBS = Path(".envlock") / "blobs"
"""Beside the lock; a blob's name is its hexadecimal digest."""


def keep(base: Base, store: Store, lock_directory: Path) -> None:
    """Copy every layer of ``base`` that no registry has from the store to beside the lock.

    The directory ignores itself in git. Raises InputError when the store does not have a layer.
    """
    if base.layers:
        sidecar.ignore(lock_directory)
    for layer in base.layers:
        if base.is_fetched(layer):
            continue
        if not store.copy_out(layer.blob, lock_directory / BLOBS / layer.blob.hex):
            raise InputError("a base layer is not in the store", where=str(layer.blob), hint="capture again")


def bring(base: Base, store: Store, lock_directory: Path | None = None) -> None:
    """See to it that the store has every layer of ``base``, from beside the lock where need be.

    Raises InputError when a layer is nowhere, and IntegrityError when the file beside the lock has
    other bytes than the lock says.
    """
    for layer in base.layers:
        if store.find(layer.blob) is None:
            _import(base, layer, store, lock_directory)


def _import(base: Base, layer: BaseLayer, store: Store, lock_directory: Path | None) -> None:
    beside = None if lock_directory is None else lock_directory / BLOBS / layer.blob.hex
    if beside is None or not beside.is_file():
        raise InputError(
            "a base layer is missing",
            where=str(layer.blob),
            expected=f"it in the store ({store.path(layer.blob)}) or beside the lock ({_place(layer)})",
            found="neither",
            hint=_hint(base),
        )
    try:
        store.add_file(beside, layer.blob)
    except IntegrityError as error:
        raise IntegrityError(
            "a base layer is not the locked one",
            where=str(beside),
            expected=error.expected,
            found=error.found,
            hint=_hint(base),
        ) from error


def _place(layer: BaseLayer) -> str:
    return (BLOBS / layer.blob.hex).as_posix()


def origin(base: Base) -> str:
    """Return where a base came from, as it can be asked for again: ``team/base:1@sha256:…``."""
    pinned = f"@{base.digest}" if base.digest is not None and "@" not in (base.reference or "") else ""
    return f"{base.kind}:{base.reference}{pinned}"


def _hint(base: Base) -> str:
    made = "" if base.reference is None else f" of {origin(base)}"
    return (
        f"it was packed at capture{made}: on the machine that was captured, envlock export --bundle FILE; "
        "here, envlock build --from FILE"
    )
