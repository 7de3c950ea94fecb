"""One small environment that the golden and the rebuild test share: its bytes never change."""

from pathlib import Path

from envlock.core.digest import Digest
from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.image.layers import build_file_layer, build_wheel_layers
from envlock.image.plan import BuildOptions, ImageFile, RuntimeFiles, finish, plan
from envlock.lock.model import BaseLayer, Lock
from envlock.oci import archive
from envlock.oci.layer import Entry, Symlink, write_layer
from envlock.oci.model import Image
from envlock.oci.path import ImagePath
from tests.image.wheels import (
    COMPRESSED,
    COMPRESSED_TEXT,
    changed,
    lock_of,
    package,
    wheel_items,
    write_wheel,
)

RUNTIME = RuntimeFiles(
    files=(
        ImageFile(
            path=ImagePath("/opt/envlock/bin/envlock-run"), mode=0o755, data=b"#!/opt/env/bin/python\n"
        ),
        ImageFile(path=ImagePath("/work"), mode=0o1777, data=None),
    ),
    digest=Digest("5" * 64),
)


def make(directory: Path, store: Store) -> tuple[Lock, dict[str, Path]]:
    """Write two wheels to ``directory`` and a base layer to ``store``; return their lock."""
    demo = wheel_items(
        files={
            "demo/__init__.py": COMPRESSED_TEXT,
            "demo/données.txt": b"d",
            "demo-1.0.data/scripts/s": b"#!python\n",
        },
        entry_points="[console_scripts]\ndemo = demo:main\n",
        stored=("demo/données.txt",),
    )
    demo = changed(demo, "demo/__init__.py", body=COMPRESSED)
    other = wheel_items(
        "other", "2.5", {"other.py": b"x = 1\n", f"{'deep/' * 30}file.py": b""}, purelib=False
    )
    wheels = {
        "demo": write_wheel(directory, demo),
        "other": write_wheel(directory, other, "other", "2.5"),
    }
    python = Entry(
        path=ImagePath("/opt/env/bin/python"), mode=0o777, content=Symlink(target="/usr/bin/python3")
    )
    with store.writing() as sink:
        layer = write_layer([python], sink, comment="base")
    base = BaseLayer(
        diff_id=layer.diff_id, blob=layer.blob, size=layer.size, media_type=layer.media_type, comment="base"
    )
    return lock_of(package(wheels["demo"]), package(wheels["other"]), base=(base,)), wheels


def build(directory: Path, store: Store) -> Image:
    """Build the fixture, which has no interpreter, with a runtime that no change of code changes."""
    lock, wheels = make(directory, store)
    options = BuildOptions(isa="native", threads=2, bytecode=False)
    planned = plan(lock, lock_bytes=b"lock", options=options, runtime=RUNTIME)
    with Silent().task("", None) as advance:
        built = build_wheel_layers(planned.groups, wheels, minor="3.11", store=store, advance=advance)
    own = tuple(build_file_layer(layer.files, layer.comment, store) for layer in planned.own)
    return finish(planned, built.layers + own)


def build_archive(directory: Path) -> None:
    """Build the whole, as a process of its own does, to ``directory/image.tar``."""
    store = Store(directory / "store")
    archive.write(build(directory, store), store.path, directory / "image.tar", "team/exp:1")
