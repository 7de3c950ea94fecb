"""Layers that were made before: a fact counts only while the store has its blob with the right bytes."""

from collections.abc import Iterable

from envlock.core.digest import Digest
from envlock.host.store import Store
from envlock.oci.model import Layer
from envlock.runtime.errors import InputError


def keep(store: Store, kind: str, key: str, layer: Layer) -> None:
    """Remember ``layer``, whose blob was just written, under ``key``: all that decides its bytes."""
    store.vouch(layer.blob)
    value = {
        "diff_id": str(layer.diff_id),
        "blob": str(layer.blob),
        "size": layer.size,
        "annotations": dict(layer.annotations),
    }
    store.remember(kind, key, value)


def recall(store: Store, kind: str, key: str, comment: str) -> Layer | None:
    """Return the layer that ``key`` stands for, or None when it must be made."""
    fact = store.fact(kind, key)
    try:
        layer = None if fact is None else _layer(fact, comment)
    except (KeyError, TypeError, ValueError, InputError):  # a fact that somebody damaged is no fact
        return None
    return layer if layer is not None and store.find(layer.blob) is not None else None


def _layer(fact: dict[str, object], comment: str) -> Layer:
    return Layer(
        diff_id=Digest.parse(str(fact["diff_id"])),
        blob=Digest.parse(str(fact["blob"])),
        size=int(str(fact["size"])),
        comment=comment,
        annotations=tuple(sorted((name, str(value)) for name, value in _members(fact["annotations"]))),
    )


def _members(value: object) -> Iterable[tuple[str, object]]:
    if not isinstance(value, dict):
        raise TypeError
    return value.items()
