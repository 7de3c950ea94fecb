"""The standard library's bytecode, as a layer of the base: it may lie where only base layers may write.

It is made at capture from the packed layers themselves, with the interpreter that they hold: so it
fits an interpreter of the OS as well as a moved one, and names no path of the captured machine.
"""

import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Final

from envlock.core.progress import Progress
from envlock.host.files import scratch_directory
from envlock.host.store import Store
from envlock.image import bytecode_layers, interpreter
from envlock.image.base_layer import pinned
from envlock.image.bytecode import Compiler, Unit
from envlock.image.plan import ImageFile
from envlock.lock.model import BaseLayer, Python
from envlock.oci.path import ImagePath

COMMENT: Final = "bytecode of the standard library"
"""The layer's comment, and the subject of the gap where it is missing."""
_LABEL: Final = "standard library"
_OTHERS: Final = ("site-packages", "dist-packages", "__pycache__")


def layer(layers: Sequence[BaseLayer], python: Python, store: Store, progress: Progress) -> BaseLayer | None:
    """Return the layer to put on ``layers``, which the store has; None when there is nothing to compile.

    Raises InputError when ``layers`` hold no interpreter, InterpreterError when it does not run here.
    """
    with ExitStack() as stack:
        # Lazily: a layer that is remembered needs nothing unpacked.
        unpacked = cache(lambda: _unpacked(layers, python, store, stack))
        identity = interpreter.identity(layers)
        return compiled(
            Compiler(identity=identity, prepared=unpacked, store=store, progress=progress), python
        )


def compiled(compiler: Compiler, python: Python) -> BaseLayer | None:
    """Return the layer that ``compiler`` makes; None when every source has its bytecode already."""
    unit = Unit(
        label=_LABEL,
        identity=_LABEL,
        opened=lambda: bytecode_layers.archived(tuple(_library(compiler.prepared())), compiler.store),
    )
    content = bytecode_layers.Content(comment=COMMENT, units=((unit, ()),))
    made = bytecode_layers.build((content,), compiler, interpreter.cache_tag(python))
    return pinned(made[0]) if made else None


def _unpacked(
    layers: Sequence[BaseLayer], python: Python, store: Store, stack: ExitStack
) -> interpreter.Interpreter:
    root = stack.enter_context(scratch_directory(store.root))
    interpreter.unpack(layers, store, root)
    return interpreter.found(root, python)


def _library(found: interpreter.Interpreter) -> Iterator[ImageFile]:
    """Yield the sources of the standard library that have no bytecode: some bases bring it."""
    tag = interpreter.cache_tag(found.python)
    prefix = posixpath.dirname(posixpath.dirname(found.executable))
    top = f"{prefix}/lib/python{found.python.minor}"
    for directory, names, files in os.walk(f"{found.root}{top}"):
        names[:] = [name for name in names if name not in _OTHERS]
        place = directory[len(str(found.root)) :]
        for name in sorted(files):
            source = Path(directory, name)
            there = Path(directory, "__pycache__", f"{source.stem}.{tag}.pyc").exists()
            if name.endswith(".py") and not source.is_symlink() and not there:
                yield ImageFile(path=ImagePath(f"{place}/{name}"), mode=0o644, data=source.read_bytes())
