"""A lock and its wheels become an image: plan, wheel layers, envlock's own layers, config, manifest.

Nothing here decides anything: :mod:`envlock.image.plan` does. Every blob of the image lies in the
store when :func:`assemble` returns, and nothing else was written.
"""

from collections.abc import Mapping
from pathlib import Path

from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.image import base_copies
from envlock.image.layers import build_file_layer, build_wheel_layers
from envlock.image.plan import BuildOptions, finish, plan
from envlock.image.runtime import runtime_files
from envlock.lock.model import Lock
from envlock.oci.model import Image


def assemble(
    lock: Lock,
    *,
    lock_bytes: bytes,
    wheels: Mapping[str, Path],
    store: Store,
    options: BuildOptions,
    progress: Progress,
    lock_directory: Path | None = None,
) -> Image:
    """Build the image of ``lock``. ``wheels`` maps each package's name to its file.

    Raises InputError for a missing base layer or a malformed wheel, IntegrityError for wrong bytes.
    """
    planned = plan(lock, lock_bytes=lock_bytes, options=options, runtime=runtime_files())
    base_copies.bring(lock.base, store, lock_directory)
    total = sum(group.size for group in planned.groups)
    with progress.task("build layers", total, "B") as advance:
        built = build_wheel_layers(
            planned.groups, wheels, minor=lock.python.minor, store=store, advance=advance
        )
    own = tuple(build_file_layer(layer.files, layer.comment, store) for layer in planned.own)
    return finish(planned, built + own)
