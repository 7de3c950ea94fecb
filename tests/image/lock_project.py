"""A directory with a lock of hand-made wheels, ready to be built by the command line without a network."""

import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from envlock.host.store import Store
from envlock.lock import file
from envlock.lock.model import Lock, Package
from tests.image import interpreter_base
from tests.image.wheels import Item, package, wheel_items, write_wheel

LOCK = "pylock.envlock.toml"


@dataclass(frozen=True, kw_only=True)
class LockProject:
    """``root`` holds the project, the store and what the command writes."""

    root: Path
    lock: Lock

    @property
    def directory(self) -> Path:
        return self.root / "project"

    @property
    def store(self) -> Store:
        return Store(self.root / "store")

    def written(self) -> list[str]:
        """All files of the project, temporary ones included."""
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*"))

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "envlock", "build", "--offline", *arguments]

    def environ(self, store: Path | None = None) -> dict[str, str]:
        return {**os.environ, "ENVLOCK_CACHE": str(store or self.store.root)}

    def build(self, *arguments: str, store: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*arguments),
            cwd=self.directory,
            env=self.environ(store),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


def large(root: Path, modules: int) -> LockProject:
    """Make wheels of which one is large enough for processes of its own, and ``modules`` to compile."""
    code = {f"demo/m{n}.py": f"def f(x):\n    return x + {n}\n".encode() for n in range(modules)}
    noise = random.Random(1).randbytes(9 << 20)
    return make(
        root,
        ("demo", wheel_items("demo", "1.0", code)),
        ("big", wheel_items("big", "1.0", {"big/data.bin": noise, "big/__init__.py": b""})),
    )


def make(root: Path, *wheels: tuple[str, list[Item]], base: bool = True) -> LockProject:
    """Write the wheels (name, entries) and their lock; with ``base``, a real interpreter below them."""
    store, directory = Store(root / "store"), root / "project"
    directory.mkdir(parents=True)
    packages = tuple(_package(directory, store, name, items) for name, items in wheels)
    if base:
        lock = interpreter_base.lock(interpreter_base.make(store), *packages)
    else:
        lock = interpreter_base.without_base(*packages)
    file.write(directory / LOCK, lock)
    return LockProject(root=root, lock=lock)


def _package(directory: Path, store: Store, name: str, items: list[Item]) -> Package:
    path = write_wheel(directory, items, name)
    store.add_file(path)
    made = package(path)
    path.unlink()
    return made
