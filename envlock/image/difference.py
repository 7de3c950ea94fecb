"""What differs between two images: config, layers, files, and why where the locks inside tell. Pure.

Rules kept here:

* A file's differences are named: content, mode, owner, time, kind, target.
* A file is told with the distribution that owns it, by the RECORDs inside the image; bytecode belongs to
  whose source it was compiled from.
* Two images without any difference here have one config and the same layers, so one image ID.
"""

import csv
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from envlock.core.digest import Digest
from envlock.lock.model import Lock
from envlock.oci.contents import Entry
from envlock.oci.model import Layer

_RECORD = re.compile(r"^(?P<site>.*)/(?P<name>[^/]+?)-[^/-]+\.dist-info/RECORD$")
_CACHED = re.compile(r"^(?P<directory>.*)/__pycache__/(?P<stem>[^/]+?)\.[^./]+(?:\.opt-\d)?\.pyc$")
_SEPARATORS = re.compile(r"[-_.]+")
# Their differences are those of the layers, told one by one.
_TOLD_ELSEWHERE = frozenset({"rootfs", "history"})
_NAMES = {"sha256": "content", "mtime": "time"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two images: its parsed config, layers, files, RECORDs by path, and the lock inside."""

    digest: Digest
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]
    files: Mapping[str, Entry]
    records: Mapping[str, bytes]
    lock: Lock | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A fact that differs; None on the side that has none. For a layer, its diff ID."""

    subject: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDifference:
    """A file that differs. ``what`` names its differing properties; ``owner`` the distribution, or ""."""

    path: str
    change: Literal["added", "removed", "changed"]
    what: tuple[str, ...] = ()
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDifference:
    """All that differs, each part in a fixed order; ``reasons`` come from the locks inside."""

    same_digest: bool
    config: tuple[Difference, ...] = ()
    layers: tuple[Difference, ...] = ()
    blobs: tuple[Difference, ...] = ()
    """Layers of the same content whose compressed bytes differ, which no container sees: their digests."""
    files: tuple[FileDifference, ...] = ()
    reasons: tuple[Difference, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether both are the same image for whoever runs it."""
        return not (self.config or self.layers or self.files)


def difference(a: Side, b: Side) -> ImageDifference:
    """Return what changes from ``a`` to ``b``."""
    return ImageDifference(
        same_digest=a.digest == b.digest,
        config=_differing(_config(a.config), _config(b.config)),
        layers=_layers(a.layers, b.layers),
        blobs=_blobs(a.layers, b.layers),
        files=tuple(_files(a, b)),
        reasons=_reasons(a.lock, b.lock),
    )


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Difference, ...]:
    return tuple(
        Difference(subject=name, before=before.get(name), after=after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )


def _config(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the config as one text a fact: ``config.Env.PATH`` → its value."""
    found: dict[str, str] = {}
    for key, value in document.items():
        if key in _TOLD_ELSEWHERE:
            continue
        found |= _flat(key, value)
    return found


def _flat(path: str, value: object) -> dict[str, str]:
    if path == "config.Env" and isinstance(value, list):
        pairs = (str(one).partition("=") for one in value)
        return {f"{path}.{name}": text for name, _, text in pairs}
    if isinstance(value, Mapping):
        parts = (_flat(f"{path}.{key}", one) for key, one in value.items())
        return {name: text for part in parts for name, text in part.items()}
    if isinstance(value, list):
        return {path: " ".join(map(str, value))}
    return {} if value is None else {path: str(value)}


def _layers(before: tuple[Layer, ...], after: tuple[Layer, ...]) -> tuple[Difference, ...]:
    """Pair layers that hold the same thing by name; a layer that only moved is a difference too."""
    known, wanted = ({name: str(one.diff_id) for name, one in _named(side)} for side in (before, after))
    found = list(_differing(known, wanted))
    stayed = [name for name in known if known[name] == wanted.get(name)]
    if stayed != [name for name in wanted if known.get(name) == wanted[name]]:
        orders = (" ".join(stayed), " ".join(name for name in wanted if name in stayed))
        found.append(Difference(subject="order", before=orders[0], after=orders[1]))
    return tuple(found)


def _blobs(before: tuple[Layer, ...], after: tuple[Layer, ...]) -> tuple[Difference, ...]:
    known, wanted = dict(_named(before)), dict(_named(after))
    return tuple(
        Difference(subject=name, before=str(known[name].blob), after=str(wanted[name].blob))
        for name in known
        if name in wanted
        and known[name].diff_id == wanted[name].diff_id
        and known[name].blob != wanted[name].blob
    )


def _named(layers: tuple[Layer, ...]) -> Iterator[tuple[str, Layer]]:
    """Yield what a layer holds with the layer, bottom first; of one name, the later ones are marked."""
    seen: set[str] = set()
    for number, layer in enumerate(layers, 1):
        name = layer.comment or f"layer {number}"
        while name in seen:
            name += "'"
        seen.add(name)
        yield name, layer


def _files(a: Side, b: Side) -> Iterator[FileDifference]:
    owner = _owner({**_owned(a.records), **_owned(b.records)})
    for path in sorted(a.files.keys() | b.files.keys()):
        before, after = a.files.get(path), b.files.get(path)
        if before is None or after is None:
            change: Literal["added", "removed"] = "added" if before is None else "removed"
            yield FileDifference(path=path, change=change, owner=owner(path))
        elif before != after:
            yield FileDifference(path=path, change="changed", what=_what(before, after), owner=owner(path))


def _what(before: Entry, after: Entry) -> tuple[str, ...]:
    names = (one.name for one in fields(Entry) if getattr(before, one.name) != getattr(after, one.name))
    told = tuple(dict.fromkeys(_NAMES.get(name, name) for name in names))
    # Bytes of another number are other bytes.
    return tuple(name for name in told if name != "size" or "content" not in told)


def _owned(records: Mapping[str, bytes]) -> dict[str, str]:
    """Return path → normalised name of the distribution whose RECORD lists it.

    A directory belongs to the one distribution that has files below it, and to none when several have.
    """
    found: dict[str, str] = {}
    for record, data in records.items():
        named = _RECORD.match(record)
        if named is None:
            continue
        name = _SEPARATORS.sub("-", named["name"]).lower()
        for row in csv.reader(data.decode("utf-8", "replace").splitlines()):
            path = posixpath.normpath(posixpath.join(named["site"], *row[:1]))
            found[path] = name
            while (path := posixpath.dirname(path)) not in ("/", named["site"]):
                found[path] = name if found.get(path, name) == name else ""
    return found


def _owner(owned: Mapping[str, str]) -> Callable[[str], str]:
    def owner(path: str) -> str:
        cached = _CACHED.match(path)
        source = f"{cached['directory']}/{cached['stem']}.py" if cached else path.removesuffix("/__pycache__")
        return owned.get(path) or owned.get(source) or ""

    return owner


def _reasons(a: Lock | None, b: Lock | None) -> tuple[Difference, ...]:
    if a is None or b is None:
        return ()
    return _differing(_decided(a), _decided(b))


def _decided(lock: Lock) -> dict[str, str]:
    """Return what of a lock decides an image's files, by name."""
    found = {f"wheel {one.name}": f"{one.version} ({one.wheel.sha256.hex[:12]})" for one in lock.packages}
    found |= {
        f"base {layer.comment or number}": layer.diff_id.hex[:12]
        for number, layer in enumerate(lock.base.layers, 1)
    }
    found["python"] = f"{lock.python.implementation} {lock.python.version}, {lock.python.build}"
    return found
