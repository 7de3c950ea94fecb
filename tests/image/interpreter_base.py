"""A base with a real interpreter, made of the one that runs the tests, and images on it."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.image.assemble import assemble
from envlock.image.plan import BuildOptions
from envlock.image.relocate import Move, relocate
from envlock.lock.model import Base, BaseLayer, Lock, Package, Python
from envlock.oci.layer import Entry, Symlink, write_layer
from envlock.oci.model import Image
from envlock.oci.path import ImagePath
from tests.image.wheels import lock_of, package, wheel_items, write_wheel

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
TAG = f"cpython-{MINOR.replace('.', '')}"
SITE = f"opt/env/lib/python{MINOR}/site-packages"
PYTHON = Python(
    implementation="cpython",
    version=platform.python_version(),
    abi=TAG,
    build="",
    prefix_kind="other",
    prefix="/opt/python",
)
_EXCLUDED = {
    "__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "ensurepip",
    "tkinter", "lib2to3", "pydoc_data", "turtledemo", "unittest", "distutils", "idle_test",
}  # fmt: skip


def entries() -> Iterator[Entry]:
    """The interpreter under /opt/python, its loader behind an absolute link, its libraries in /usr/lib."""
    prefix = Path(sys.base_prefix)
    move = Move(old=str(prefix), new="/opt/python")
    executable = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    yield _file(executable, f"/opt/python/bin/python{MINOR}", move)
    yield _link("/opt/env/bin/python", f"/opt/python/bin/python{MINOR}")
    library = prefix / "lib" / f"python{MINOR}"
    for directory, names, files in os.walk(library):
        names[:] = [name for name in names if name not in _EXCLUDED]
        for name in files:
            if name.endswith((".py", ".so")):
                source = Path(directory, name)
                yield _file(source, f"/opt/python/lib/python{MINOR}/{source.relative_to(library)}", move)
    for source in _libraries(executable):
        if source.name.startswith("ld-"):
            yield _file(source, f"/usr/lib/loader/{source.name}", move)
            yield _link(str(source), f"/usr/lib/loader/{source.name}")
        else:
            yield _file(source, f"/usr/lib/{source.name}", move)


def _libraries(executable: Path) -> Iterator[Path]:
    import _ctypes  # noqa: PLC0415 # imported for their libraries' names alone
    import zlib  # noqa: PLC0415

    seen = set()
    for program in (str(executable), getattr(zlib, "__file__", ""), _ctypes.__file__):
        output = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        for line in output.splitlines():
            place = next((word for word in line.split() if word.startswith("/")), None)
            if place is not None and Path(place).name not in seen:
                seen.add(Path(place).name)
                yield Path(place)


def _file(source: Path, path: str, move: Move) -> Entry:
    mode = 0o755 if os.access(source, os.X_OK) else 0o644
    return Entry(path=ImagePath(path), mode=mode, content=relocate(source.read_bytes(), move))


def _link(path: str, target: str) -> Entry:
    return Entry(path=ImagePath(path), mode=0o777, content=Symlink(target=target))


def make(store: Store) -> BaseLayer:
    """Write the base's one layer to ``store``."""
    with store.writing() as sink:
        layer = write_layer(entries(), sink)
    return BaseLayer(diff_id=layer.diff_id, blob=layer.blob, size=layer.size, media_type=layer.media_type)


def lock(base: BaseLayer, *packages: Package) -> Lock:
    return replace(lock_of(*packages), python=PYTHON, base=Base(kind="host", layers=(base,)))


def without_base(*packages: Package) -> Lock:
    return replace(lock_of(*packages), python=PYTHON)


def wheel(directory: Path, files: dict[str, bytes], name: str = "demo") -> Path:
    return write_wheel(directory, wheel_items(name, "1.0", files), name)


def build(locked: Lock, wheels: dict[str, Path], store: Store, *, bytecode: bool = True) -> Image:
    return assemble(
        locked,
        lock_bytes=b"lock",
        wheels=wheels,
        store=store,
        options=BuildOptions(isa="native", threads=2, bytecode=bytecode),
        progress=Silent(),
    )


def build_many(directory: Path) -> str:
    """Build an image of many modules under ``directory``, as a process of its own does."""
    store = Store(directory / "store")
    # Constants, sets, names and encodings whose marshalled form could depend on what ran before.
    files = {
        f"demo/m{number}.py": (
            f"{'# coding: latin-1' if number % 7 == 0 else ''}\n"
            f"def f_{number}(a, b={{'x', 'y', None}}):\n"
            f"    return a in {{'p{number}', 'q', 'append', {number}}} or a.append(b.items()) or '\\d'\n"
            f"class C{number % 5}:\n    shared_{number % 3} = ('left', 'right', {number}.5)\n"
        ).encode()
        for number in range(900)
    }
    made = wheel(directory, files)
    return str(build(lock(make(store), package(made)), {"demo": made}, store).digest)
