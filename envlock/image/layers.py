"""Wheels to layers: cached, spread over processes, never trusting what a file claims to be.

Rules kept here:

* A wheel's bytes are hashed before they are used, unless they were before and the file has not changed
  since, and every file in it is checked against RECORD while its layer is written.
* A layer is remembered under everything that decides its bytes: the formats, the Python that names
  the library directory, each wheel's SHA-256, and the paths that another wheel owns. A remembered
  layer counts only while the store still has its blob with the right bytes.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from envlock.core.progress import Advance
from envlock.host.files import file_digest
from envlock.host.store import Store
from envlock.image import handover, remembered
from envlock.image.groups import WheelGroup
from envlock.image.install import FORMAT as INSTALL_FORMAT
from envlock.image.install import InstalledFile, install, site_packages
from envlock.image.ownership import InstalledPaths, left_out
from envlock.image.plan import ImageFile
from envlock.image.record import Verifier
from envlock.image.wheel import WheelReader, open_wheel, read_contents
from envlock.image.workers import run
from envlock.lock.model import Package
from envlock.oci.layer import FORMAT as LAYER_FORMAT
from envlock.oci.layer import Content, Directory, Entry, Splice, Stream, write_layer
from envlock.oci.model import Layer, Made
from envlock.runtime.errors import InputError, IntegrityError

_INDEX_FACT = "installed-paths"
_LAYER_FACT = "wheel-layer"


@dataclass(frozen=True, slots=True, kw_only=True)
class _WheelTask:
    """A wheel to read. ``read``: what was found in it in this build, when its SHA-256 was checked too."""

    package: Package
    path: Path
    minor: str
    store: Store
    read: bytes | None = None
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _GroupTask:
    """A layer to write."""

    key: str
    wheels: tuple[_WheelTask, ...]
    store: Store
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelLayers:
    """The layer of each group, and for each package that lost any paths to another, those paths."""

    layers: tuple[Layer, ...]
    left_out: Mapping[str, tuple[str, ...]]


def build_wheel_layers(
    groups: Sequence[WheelGroup],
    wheels: Mapping[str, Path],
    *,
    minor: str,
    store: Store,
    advance: Advance,
    made: Made = lambda _: None,
) -> WheelLayers:
    """Return the layer of each group, in order; their blobs lie in ``store``.

    ``wheels`` maps each package's name to its wheel; ``minor`` is Python's (``3.11``); ``advance`` is
    told the bytes of wheel that are done, ``made`` each layer in order, once it is there. Raises InputError
    for a malformed wheel or one path claimed with different contents, IntegrityError for wrong hashes.
    """
    tasks = {
        package.name: _WheelTask(package=package, path=_wheel(wheels, package), minor=minor, store=store)
        for group in groups
        for package in group.packages
    }
    indexed, fresh = _indexed(tuple(tasks.values()), store)
    without = left_out(indexed)
    planned = tuple(
        _group_task(
            group,
            tuple(
                replace(
                    tasks[package.name],
                    read=fresh.get(package.name),
                    without=without.get(package.name, ()),
                )
                for package in group.packages
            ),
            store,
        )
        for group in groups
    )
    return WheelLayers(layers=_layers(planned, store, advance, made), left_out=without)


def recalled(
    groups: Sequence[WheelGroup], *, minor: str, store: Store
) -> tuple[tuple[Layer | None, ...], Mapping[str, tuple[str, ...]]]:
    """Return each group's layer where it was built before, and the paths that packages lost to another.

    Nothing is read but what the store remembers: a wheel that it does not know counts as losing no path.
    """
    tasks = [
        _WheelTask(package=package, path=Path(), minor=minor, store=store)
        for one in groups
        for package in one.packages
    ]
    without = left_out([known for task in tasks if (known := _known_paths(task, store)) is not None])
    found = [
        _group_task(
            group,
            tuple(
                _WheelTask(
                    package=one, path=Path(), minor=minor, store=store, without=without.get(one.name, ())
                )
                for one in group.packages
            ),
            store,
        )
        for group in groups
    ]
    return tuple(map(_remembered, found)), without


def build_file_layer(files: Iterable[ImageFile], comment: str, store: Store) -> Layer:
    """Write the files that envlock makes as one layer into ``store``."""
    with store.writing() as sink:
        return write_layer(entries(files), sink, comment=comment)


def entries(files: Iterable[ImageFile]) -> list[Entry]:
    """Return the files that envlock makes as a layer takes them."""
    return [
        Entry(path=file.path, mode=file.mode, content=Directory() if file.data is None else file.data)
        for file in files
    ]


def _wheel(wheels: Mapping[str, Path], package: Package) -> Path:
    found = wheels.get(package.name)
    if found is None:
        raise InputError("wheel not given", where=package.wheel.name)
    return found


def _indexed(tasks: tuple[_WheelTask, ...], store: Store) -> tuple[list[InstalledPaths], dict[str, bytes]]:
    """Return what each wheel installs, and by name what was read (and verified) just now."""
    known = {task.package.name: _known_paths(task, store) for task in tasks}
    missing = [task for task in tasks if known[task.package.name] is None]
    fresh: dict[str, bytes] = {}
    for task, (fact, read) in run(_index, missing, [task.package.wheel.size for task in missing]):
        store.remember(_INDEX_FACT, _index_key(task), fact)
        known[task.package.name] = _paths(task, fact)
        fresh[task.package.name] = read
    return [one for one in known.values() if one is not None], fresh


def _known_paths(task: _WheelTask, store: Store) -> InstalledPaths | None:
    fact = store.fact(_INDEX_FACT, _index_key(task))
    return None if fact is None else _paths(task, fact)


def _joined(files: Mapping[str, str]) -> dict[str, str]:
    """Return ``files`` as two long texts, which are read in a third of the time; a path is one line."""
    return {"paths": "\n".join(files), "files": "\n".join(files.values())}


def _paths(task: _WheelTask, fact: Mapping[str, object]) -> InstalledPaths:
    files = dict(zip(*(str(fact[key]).split("\n") for key in ("paths", "files")), strict=True))
    return InstalledPaths(package=task.package.name, files=files, modified=_modified(task))


def _modified(task: _WheelTask) -> tuple[str, ...]:
    site = site_packages(task.minor).text
    return tuple(f"{site}/{path}" for path in task.package.modified)


def _index_key(task: _WheelTask) -> str:
    # The file name decides whether the wheel is accepted at all, so it is part of what is known.
    return json.dumps([INSTALL_FORMAT, task.minor, task.package.wheel.name, task.package.wheel.sha256.hex])


def _index(task: _WheelTask) -> tuple[dict[str, str], bytes]:
    """Return the hash and mode of each path that the wheel installs, and all for writing. In a worker."""
    with _opened(task) as (reader, installed):
        files = {file.path.text: f"{file.recorded} {file.mode:o}" for file in installed}
        return _joined(files), handover.packed(reader, installed)


@contextmanager
def _opened(task: _WheelTask) -> Iterator[tuple[WheelReader, tuple[InstalledFile, ...]]]:
    """Yield the open wheel, once it is known to be the locked one, and what it installs."""
    name = task.package.wheel.name
    if task.read is not None:
        members, installed = handover.unpacked(task.read)
        with open_wheel(task.path, name, members) as reader:
            yield reader, installed
        return
    verify(task.package, task.path, task.store)
    with open_wheel(task.path, name) as reader:
        yield reader, install(read_contents(reader), minor=task.minor)


def verify(package: Package, path: Path, store: Store) -> None:
    """Raise InputError when the wheel can't be read, IntegrityError when it is not the locked one.

    ``store`` remembers files whose bytes were hashed before.
    """
    try:
        if store.has(path, package.wheel.sha256):
            return
        found = file_digest(path)
    except OSError as error:
        raise InputError("cannot read a wheel", where=package.wheel.name, found=str(error)) from error
    raise IntegrityError(
        f"the wheel of {package.name} {package.version} is not the locked one",
        where=package.wheel.name,
        expected=str(package.wheel.sha256),
        found=str(found),
    )


def _group_task(group: WheelGroup, wheels: tuple[_WheelTask, ...], store: Store) -> _GroupTask:
    minor = wheels[0].minor
    contents = [[one.package.wheel.name, one.package.wheel.sha256.hex, one.without] for one in wheels]
    key = json.dumps([LAYER_FORMAT, INSTALL_FORMAT, minor, contents])
    return _GroupTask(key=key, wheels=wheels, store=store, comment=group.comment)


def _layers(tasks: tuple[_GroupTask, ...], store: Store, advance: Advance, made: Made) -> tuple[Layer, ...]:
    """Return a layer for each task: remembered and still there with the right bytes, or built."""
    with ThreadPoolExecutor() as threads:  # hashing releases the interpreter's lock
        found = dict(zip((task.key for task in tasks), threads.map(_remembered, tasks), strict=True))
    missing = [task for task in tasks if found[task.key] is None]
    advance(sum(map(_size, tasks)) - sum(map(_size, missing)))
    done = _told(tasks, found, made)
    for task, layer in run(_build, missing, [_size(task) for task in missing]):
        remembered.keep(store, _LAYER_FACT, task.key, layer)
        found[task.key] = layer
        advance(_size(task))
        done += _told(tasks[len(done) :], found, made)
    return done


def _told(tasks: Iterable[_GroupTask], found: Mapping[str, Layer | None], made: Made) -> tuple[Layer, ...]:
    """Return the layers up to the first that is not there yet, each told to ``made``."""
    layers: list[Layer] = []
    for task in tasks:
        layer = found[task.key]
        if layer is None:
            break
        made(layer)
        layers.append(layer)
    return tuple(layers)


def _size(task: _GroupTask) -> int:
    return sum(one.package.wheel.size for one in task.wheels)


def _remembered(task: _GroupTask) -> Layer | None:
    return remembered.recall(task.store, _LAYER_FACT, task.key, task.comment)


def _build(task: _GroupTask) -> Layer:
    """Write one layer. Runs in a worker."""
    verifier = Verifier()
    with ExitStack() as stack:
        members: list[Entry] = []
        for wheel in task.wheels:
            reader, installed = stack.enter_context(_opened(wheel))
            members.extend(_entries(reader, installed, wheel, verifier))
        # Inside the store's block, so that a layer with a wrong file never gets a name.
        with task.store.writing() as sink:
            layer = write_layer(members, sink, comment=task.comment)
            verifier.finish()
    return layer


def _entries(
    reader: WheelReader, installed: Iterable[InstalledFile], wheel: _WheelTask, verifier: Verifier
) -> Iterator[Entry]:
    without = frozenset(wheel.without)
    for file in installed:
        if file.path.text not in without:
            yield Entry(path=file.path, mode=file.mode, content=_content(reader, file, verifier))


def _content(reader: WheelReader, file: InstalledFile, verifier: Verifier) -> Content:
    if isinstance(file.source, bytes):
        return file.source
    name = file.source
    observe = verifier.watch(reader.where(name), file.recorded)
    stream = reader.deflated(name)
    if stream is None:
        return Stream(size=file.size, pieces=lambda: _observed(reader.pieces(name), observe))
    return Splice(stream=stream, sha256=file.recorded.sha256, observe=observe)


def _observed(pieces: Iterator[bytes], observe: Callable[[bytes], None]) -> Iterator[bytes]:
    for piece in pieces:
        observe(piece)
        yield piece
