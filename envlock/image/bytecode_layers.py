"""Bytecode to layers: one for each layer of wheels, one for envlock's own runtime.

Rules kept here:

* A pyc lies in ``__pycache__`` beside its source (PEP 3147). Where another wheel owns the source, it
  owns the pyc too. No wheel's own pyc is ever there: installing leaves ``__pycache__`` out.
* The zip archives that the image's interpreter wrote are spliced as wheels are, so the compressor is
  the base's own zlib and pinned with it.
* A group without Python has no layer of bytecode.
"""

import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from envlock.core.digest import Digest
from envlock.host.store import Store
from envlock.image import remembered, runtime
from envlock.image.bytecode import Compiler, Sources, Unit
from envlock.image.groups import WheelGroup
from envlock.image.install import FORMAT as INSTALL_FORMAT
from envlock.image.install import install, site_packages
from envlock.image.layers import verify
from envlock.image.plan import ImageFile, bytecode_comment
from envlock.image.wheel import WheelReader, open_wheel, read_contents
from envlock.image.workers import run
from envlock.lock.model import Package
from envlock.oci.layer import FORMAT as LAYER_FORMAT
from envlock.oci.layer import Entry, Splice, Stream, write_layer
from envlock.oci.model import Layer
from envlock.oci.path import ImagePath

_FACT: Final = "bytecode-layer"
_EMPTY: Final[Mapping[str, object]] = {"empty": True}
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_LONGEST_SOURCE: Final = 230


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What one layer of bytecode holds: units, each with the sources that another unit owns."""

    comment: str
    units: tuple[tuple[Unit, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A layer to write. ``parts``: archives, each with the sources that are left out."""

    key: str
    comment: str
    tag: str
    store: Store
    parts: tuple[tuple[Digest, tuple[str, ...]], ...]


def of_wheels(
    groups: Sequence[WheelGroup],
    wheels: Mapping[str, Path],
    left_out: Mapping[str, tuple[str, ...]],
    minor: str,
    store: Store,
) -> tuple[Content, ...]:
    """Return the contents of the groups' layers. ``left_out``: each package's paths that it lost."""
    return tuple(
        Content(
            comment=bytecode_comment(group.comment),
            units=tuple(
                (_wheel(package, wheels[package.name], minor, store), left_out.get(package.name, ()))
                for package in group.packages
            ),
        )
        for group in groups
    )


def of_files(files: Iterable[ImageFile], comment: str, store: Store) -> Content:
    """Return the content of the layer for the Python files among ``files``."""
    sources = tuple(file for file in files if file.path.text.endswith(".py"))
    identity = f"files {runtime.digest(sources).hex}"
    unit = Unit(label=comment, identity=identity, opened=lambda: archived(sources, store))
    return Content(comment=bytecode_comment(comment), units=((unit, ()),))


def build(contents: Sequence[Content], compiler: Compiler, tag: str) -> tuple[Layer, ...]:
    """Return the layers in order, without empty ones; ``tag`` is the interpreter's cache tag.

    Raises InputError for a malformed wheel, IntegrityError for wrong bytes, UnreachableError when the
    image's interpreter does not run here.
    """
    store = compiler.store
    found = {_key(content, compiler, tag): _recalled(content, compiler, tag) for content in contents}
    missing = [content for content in contents if found[_key(content, compiler, tag)] == ()]
    units = {unit.identity: unit for content in missing for unit, _ in content.units}
    compiled = dict(zip(units, compiler.compiled(tuple(units.values())), strict=True))
    tasks = [
        _Task(
            key=_key(content, compiler, tag),
            comment=content.comment,
            tag=tag,
            store=store,
            parts=tuple(
                (part, without) for unit, without in content.units for part in compiled[unit.identity]
            ),
        )
        for content in missing
    ]
    for task, layer in run(_write, tasks, [_size(task) for task in tasks]):
        found[task.key] = (layer,)
        if layer is None:
            store.remember(_FACT, task.key, _EMPTY)
        else:
            remembered.keep(store, _FACT, task.key, layer)
    return tuple(layer for one in found.values() for layer in one if layer is not None)


def recalled(
    contents: Sequence[Content], compiler: Compiler, tag: str
) -> tuple[tuple[Layer | None, ...], ...]:
    """Return for each content its layer as a tuple of one, None in it for an empty one; else nothing."""
    return tuple(_recalled(content, compiler, tag) for content in contents)


def _key(content: Content, compiler: Compiler, tag: str) -> str:
    units = [[compiler.key(unit), without] for unit, without in content.units]
    return json.dumps([LAYER_FORMAT, tag, units])


def _recalled(content: Content, compiler: Compiler, tag: str) -> tuple[Layer | None, ...]:
    """Return the layer as a tuple of one, with None for one that is known to be empty; else nothing."""
    key = _key(content, compiler, tag)
    if compiler.store.fact(_FACT, key) == _EMPTY:
        return (None,)
    layer = remembered.recall(compiler.store, _FACT, key, content.comment)
    return () if layer is None else (layer,)


def _wheel(package: Package, path: Path, minor: str, store: Store) -> Unit:
    return Unit(
        label=f"{package.name} {package.version}",
        identity=f"wheel {package.wheel.sha256.hex} {minor} {INSTALL_FORMAT}",
        opened=lambda: _sources(package, path, minor, store),
    )


def _sources(package: Package, path: Path, minor: str, store: Store) -> Sources:
    """Return the wheel's modules, as they are installed into site-packages."""
    verify(package, path, store)
    site = site_packages(minor)
    with open_wheel(path, package.wheel.name) as reader:
        installed = install(read_contents(reader), minor=minor)
    return Sources(
        archive=path,
        files=tuple(
            (file.source, file.path.text)
            for file in installed
            if isinstance(file.source, str) and file.path.within(site) and _is_module(file.path)
        ),
    )


def _is_module(path: ImagePath) -> bool:
    name = path.text.rpartition("/")[2]
    # Beside "__pycache__/NAME.cpython-311.pyc" there must be room in a name of 255 bytes.
    return name.endswith(".py") and name != ".py" and len(name.encode()) <= _LONGEST_SOURCE


def archived(files: Sequence[ImageFile], store: Store) -> Sources:
    """Put files that are no wheel's into an archive in the store, to be compiled from there."""
    buffer = io.BytesIO()
    names = [(file.path.relative, file.path.text) for file in files]
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in files:
            archive.writestr(zipfile.ZipInfo(file.path.relative, date_time=_DATE), file.data or b"")
    with store.writing() as sink:
        sink.write(buffer.getvalue())
    return Sources(archive=store.path(sink.digest), files=tuple(sorted(names)))


def _size(task: _Task) -> int:
    return sum(task.store.path(part).stat().st_size for part, _ in task.parts)


def _write(task: _Task) -> Layer | None:
    """Write one layer, or nothing when it would be empty. Runs in a worker."""
    with ExitStack() as stack:
        entries = [
            entry
            for part, without in task.parts
            for entry in _entries(
                stack.enter_context(open_wheel(task.store.path(part), f"{task.comment}: {part}")),
                frozenset(without),
                task.tag,
            )
        ]
        if not entries:
            return None
        with task.store.writing() as sink:
            return write_layer(entries, sink, comment=task.comment)


def _entries(reader: WheelReader, without: frozenset[str], tag: str) -> Iterator[Entry]:
    for name, member in reader.members.items():
        path = ImagePath(f"/{name}")
        if path.text in without:
            continue
        stream = reader.deflated(name)
        content = (
            Stream(size=member.size, pieces=partial(reader.pieces, name))
            if stream is None
            else Splice(stream=stream)
        )
        yield Entry(path=_bytecode_path(path, tag), mode=0o644, content=content)


def _bytecode_path(source: ImagePath, tag: str) -> ImagePath:
    directory, _, name = source.text.rpartition("/")
    return ImagePath(f"{directory}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc")
