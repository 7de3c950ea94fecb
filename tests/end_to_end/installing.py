"""Installing a lock with other tools, and reading what was captured."""

import subprocess
import sys
from pathlib import Path

from envlock.lock import codec
from envlock.lock.model import Lock
from tests.end_to_end.project import LOCK, Built


def read_lock(path: Path) -> Lock:
    return codec.loads(path.read_bytes(), str(path))


def packages_of(lock: Lock) -> list[tuple[str, str, str]]:
    return [(package.name, package.version, package.wheel.sha256.hex) for package in lock.packages]


def installs_the_same(built: Built, tmp_path: Path, installer: str) -> None:
    python = installed(built.lock, tmp_path / "env", built.python, installer)
    command = built.command.moved(tmp_path)
    command.done("capture", "--python", python, "--project", built.directory)
    assert packages_of(read_lock(tmp_path / LOCK)) == packages_of(read_lock(built.lock))


def installed(lock: Path, prefix: Path, base: Path, installer: str) -> Path:
    """Make an empty environment of the interpreter ``base`` and install ``lock`` into it."""
    subprocess.run([str(base), "-m", "venv", "--without-pip", prefix], check=True)
    python = prefix / "bin/python"
    arguments = {
        "pip": ["pip", "--quiet", "--python", python, "install", "--no-deps", "-r", lock],
        "uv": ["uv", "--quiet", "pip", "sync", "--python", python, lock],
    }[installer]
    argv = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return python
