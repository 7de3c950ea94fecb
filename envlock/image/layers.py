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
from functools import partial
from pathlib import Path

from envlock.core.progress import Advance
from envlock.host.files import file_digest
from envlock.host.store import Store
from envlock.image import remembered
from envlock.image.groups import WheelGroup
from envlock.image.install import FORMAT as INSTALL_FORMAT
from envlock.image.install import InstalledFile, install, site_packages
from envlock.image.ownership import InstalledPaths, left_out
from envlock.image.plan import ImageFile
from envlock.image.record import Verifier
from envlock.image.wheel import WheelReader, open_wheel, read_contents, reading
from envlock.image.workers import run
from envlock.image.zip_archive import claimed_names
from envlock.lock.model import Package
from envlock.oci.layer import FORMAT as LAYER_FORMAT
from envlock.oci.layer import Content, Directory, Entry, Splice, Stream, write_layer
from envlock.oci.model import Layer, Made
from envlock.runtime.errors import InputError, IntegrityError

_INDEX_FACT = "installed-paths"
_LAYER_FACT = "wheel-layer"

_Fact = dict[str, str]
"""What a wheel installs, as the store remembers it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _WheelTask:
    """A wheel to read. ``without``: the paths that another one owns."""

    package: Package
    path: Path
    minor: str
    store: Store
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _GroupTask:
    """A layer to write."""

    key: str
    wheels: tuple[_WheelTask, ...]
    store: Store
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Built:
    """A layer, None where its own wheels contest a path, and what each of them installs."""

    layer: Layer | None
    installed: tuple[_Fact, ...]


_Learn = Callable[[_WheelTask, _Fact], None]


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
    known = _known(tasks)

    def learn(task: _WheelTask, fact: _Fact) -> None:
        if task.package.name not in known:
            store.remember(_INDEX_FACT, _index_key(task), fact)
            known[task.package.name] = _paths(task, fact)

    suspects = _suspects(tasks.values(), known)
    for task, fact in run(_index, suspects, [task.package.wheel.size for task in suspects]):
        learn(task, fact)
    without = left_out(known.values())
    layers = _layers(_planned(groups, tasks, without), store, advance, made, learn)
    # What no name gave away, two wheels with one command, is seen when all are read.
    found = left_out(known.values())
    if found != without:
        layers = _layers(_planned(groups, tasks, found), store, _pass_over, _pass_over, learn)
    return WheelLayers(layers=layers, left_out=found)


def recalled(
    groups: Sequence[WheelGroup], *, minor: str, store: Store
) -> tuple[tuple[Layer | None, ...], Mapping[str, tuple[str, ...]]]:
    """Return each group's layer where it was built before, and the paths that packages lost to another.

    Nothing is read but what the store remembers: a wheel that it does not know counts as losing no path.
    """
    tasks = {
        package.name: _WheelTask(package=package, path=Path(), minor=minor, store=store)
        for group in groups
        for package in group.packages
    }
    without = left_out(_known(tasks).values())
    return tuple(map(_remembered, _planned(groups, tasks, without))), without


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


def _known(tasks: Mapping[str, _WheelTask]) -> dict[str, InstalledPaths]:
    """Return what each wheel installs that the store knows."""
    found = {name: _known_paths(task) for name, task in tasks.items()}
    return {name: paths for name, paths in found.items() if paths is not None}


def _suspects(tasks: Iterable[_WheelTask], known: Mapping[str, InstalledPaths]) -> list[_WheelTask]:
    """Return the wheels that are not known and seem to install a path of another."""
    claimed: set[str] = set().union(*(one.files for one in known.values()))
    contested: set[str] = set()
    guessed: list[tuple[_WheelTask, set[str]]] = []
    for task in tasks:
        if task.package.name not in known:
            paths = _guessed(task)
            contested |= claimed & paths
            claimed |= paths
            guessed.append((task, paths))
    return [task for task, paths in guessed if not contested.isdisjoint(paths)]


def _guessed(task: _WheelTask) -> set[str]:
    """Return where a wheel's files go by its directory, of which nothing is checked."""
    site = site_packages(task.minor).text
    try:
        with reading(task.path, task.package.wheel.name) as (read, size):
            return {f"{site}/{name}" for name in claimed_names(read, size)}
    except (InputError, OSError):  # told by who reads it in earnest
        return set()


def _known_paths(task: _WheelTask) -> InstalledPaths | None:
    fact = task.store.fact(_INDEX_FACT, _index_key(task))
    return None if fact is None else _paths(task, fact)


def _fact(installed: Iterable[InstalledFile]) -> _Fact:
    """Return hash and mode of each path, as two texts, which are read in a third of the time."""
    files = {file.path.text: f"{file.recorded} {file.mode:o}" for file in installed}
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


def _index(task: _WheelTask) -> _Fact:
    """Return what the wheel installs. Runs in a worker."""
    with _opened(task) as (_, installed):
        return _fact(installed)


@contextmanager
def _opened(task: _WheelTask) -> Iterator[tuple[WheelReader, tuple[InstalledFile, ...]]]:
    """Yield the open wheel, once it is known to be the locked one, and what it installs."""
    verify(task.package, task.path, task.store)
    with open_wheel(task.path, task.package.wheel.name) as reader:
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


def _planned(
    groups: Iterable[WheelGroup], tasks: Mapping[str, _WheelTask], without: Mapping[str, tuple[str, ...]]
) -> tuple[_GroupTask, ...]:
    return tuple(
        _group_task(
            group,
            tuple(replace(tasks[one.name], without=without.get(one.name, ())) for one in group.packages),
        )
        for group in groups
    )


def _group_task(group: WheelGroup, wheels: tuple[_WheelTask, ...]) -> _GroupTask:
    minor, store = wheels[0].minor, wheels[0].store
    contents = [[one.package.wheel.name, one.package.wheel.sha256.hex, one.without] for one in wheels]
    key = json.dumps([LAYER_FORMAT, INSTALL_FORMAT, minor, contents])
    return _GroupTask(key=key, wheels=wheels, store=store, comment=group.comment)


def _layers(
    tasks: tuple[_GroupTask, ...], store: Store, advance: Advance, made: Made, learn: _Learn
) -> tuple[Layer, ...]:
    """Return a layer for each task: remembered and still there with the right bytes, or built.

    Fewer where wheels of one layer contest a path that nobody gave to one of them: ``learn``, which is told
    what is installed, shows that.
    """
    with ThreadPoolExecutor() as threads:  # hashing releases the interpreter's lock
        found = dict(zip((task.key for task in tasks), threads.map(_remembered, tasks), strict=True))
    missing = [task for task in tasks if found[task.key] is None]
    advance(sum(map(_size, tasks)) - sum(map(_size, missing)))
    done = _told(tasks, found, made)
    for task, built in run(_build, missing, [_size(task) for task in missing]):
        if built.layer is not None:
            remembered.keep(store, _LAYER_FACT, task.key, built.layer)
        found[task.key] = built.layer
        for wheel, fact in zip(task.wheels, built.installed, strict=True):
            learn(wheel, fact)
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


def _pass_over(_: object) -> None:
    """Take what was told before."""


def _size(task: _GroupTask) -> int:
    return sum(one.package.wheel.size for one in task.wheels)


def _remembered(task: _GroupTask) -> Layer | None:
    return remembered.recall(task.store, _LAYER_FACT, task.key, task.comment)


def _build(task: _GroupTask) -> _Built:
    """Write one layer. Runs in a worker."""
    verifier = Verifier()
    facts: list[_Fact] = []
    with ExitStack() as stack:
        members: list[Entry] = []
        for wheel in task.wheels:
            reader, installed = stack.enter_context(_opened(wheel))
            facts.append(_fact(installed))
            members.extend(_entries(reader, installed, wheel, verifier))
        if len({member.path.text for member in members}) != len(members):
            return _Built(layer=None, installed=tuple(facts))
        # Inside the store's block, so that a layer with a wrong file never gets a name.
        with task.store.writing() as sink:
            layer = write_layer(members, sink, comment=task.comment)
            verifier.finish()
    return _Built(layer=layer, installed=tuple(facts))


def _entries(
    reader: WheelReader, installed: Iterable[InstalledFile], wheel: _WheelTask, verifier: Verifier
) -> Iterator[Entry]:
    without = frozenset(wheel.without)
    for file in installed:
        if not without or file.path.text not in without:
            yield Entry(file.path, file.mode, _content(reader, file, verifier))


def _content(reader: WheelReader, file: InstalledFile, verifier: Verifier) -> Content:
    if isinstance(file.source, bytes):
        return file.source
    name, recorded = file.source, file.recorded
    stream = reader.deflated(name)
    if stream is not None and recorded.algorithm == "sha256":
        return Splice(stream, partial(verifier.check, stream.origin, recorded))
    observe = verifier.watch(reader.where(name), recorded)
    if stream is None:
        return Stream(size=file.size, pieces=lambda: _observed(reader.pieces(name), observe))
    return Splice(stream, observe=observe)


def _observed(pieces: Iterator[bytes], observe: Callable[[bytes], None]) -> Iterator[bytes]:
    for piece in pieces:
        observe(piece)
        yield piece
