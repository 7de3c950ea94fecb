"""A lock and its wheels become an image: plan, wheel layers, envlock's own layers, config, manifest.

Nothing here decides anything: :mod:`envlock.image.plan` does. Every blob of the image lies in the
store when :func:`assemble` returns, and nothing else was written.
"""

from collections.abc import Mapping
from pathlib import Path

from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.image import bytecode_layers, interpreter
from envlock.image.bytecode import Compiler
from envlock.image.layers import build_file_layer, build_wheel_layers
from envlock.image.plan import BuildOptions, finish, plan
from envlock.image.project import ProjectTree, layer
from envlock.image.runtime import runtime_files
from envlock.lock.model import Lock
from envlock.oci.model import Image, Layer, Made


def assemble(
    lock: Lock,
    *,
    lock_bytes: bytes,
    wheels: Mapping[str, Path],
    store: Store,
    options: BuildOptions,
    progress: Progress,
    project: ProjectTree | None = None,
    made: Made = lambda _: None,
) -> Image:
    """Build the image of ``lock``, whose base lies in ``store``.

    ``wheels`` maps each package's name to its file. ``project``: the code for the last layer, whose digest
    ``options`` names. ``made`` is told the base's and the wheels' layers, lowest first, each once it lies in
    the store.

    Raises InputError for a malformed wheel, IntegrityError for wrong bytes, UnreachableError when the
    bytecode is wanted and the image's interpreter does not run here.
    """
    planned = plan(lock, lock_bytes=lock_bytes, options=options, runtime=runtime_files())
    for one in planned.base:
        made(one)
    total = sum(group.size for group in planned.groups)
    with progress.task("build layers", total, "B") as advance:
        built = build_wheel_layers(
            planned.groups, wheels, minor=lock.python.minor, store=store, advance=advance, made=made
        )
    bytecode: tuple[Layer, ...] = ()
    if planned.bytecode:
        contents = (
            *bytecode_layers.of_wheels(planned.groups, wheels, built.left_out, lock.python.minor, store),
            bytecode_layers.of_files(planned.own[0].files, planned.own[0].comment, store),
        )
        bytecode = bytecode_layers.build(
            contents, compiler(lock, store, progress), interpreter.cache_tag(lock.python)
        )
    own = tuple(build_file_layer(layer.files, layer.comment, store) for layer in planned.own)
    last = () if project is None else (layer(project, store),)
    return finish(planned, built.layers + bytecode + own + last)


def compiler(lock: Lock, store: Store, progress: Progress) -> Compiler:
    """Return what compiles by the image's own interpreter."""
    return Compiler(
        identity=interpreter.identity(interpreter.unpacked_layers(lock.base)),
        prepared=lambda: interpreter.prepared(lock.base, lock.python, store, progress),
        store=store,
        progress=progress,
    )
