"""Every kind of environment is captured whole: what pip sees in it stands in the lock, or is named."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end import environments
from tests.end_to_end.environments import DEBIAN, pip_install, uv_install, venv
from tests.end_to_end.installing import installed, packages_of, read_lock
from tests.end_to_end.project import LOCK, CommandLine

pytestmark = [pytest.mark.network, pytest.mark.slow]

# One with an extension module, one of pure Python with a console script, one that needs another.
WANTED = ("markupsafe", "jinja2", "pygments")


def _with_pip(prefix: Path) -> Path:
    python = venv(prefix)
    pip_install(python, *WANTED)
    return python


def _virtualenv(prefix: Path) -> Path:
    python = environments.virtualenv(prefix)
    pip_install(python, *WANTED)
    return python


def _uv(prefix: Path) -> Path:
    python = environments.uv_venv(prefix)
    uv_install(python, *WANTED)
    return python


def _nested(prefix: Path) -> Path:
    """One environment on the site-packages of Debian's Python, with a newer release over Debian's own."""
    python = venv(prefix, "--system-site-packages", base=DEBIAN)
    pip_install(python, "--ignore-installed", *WANTED)
    return python


def _debian(prefix: Path) -> Path:
    return DEBIAN


KINDS: dict[str, Callable[[Path], Path]] = {
    "venv": _with_pip,
    "virtualenv": _virtualenv,
    "uv": _uv,
    "nested": _nested,
    "debian": _debian,
}


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    root = tmp_path_factory.mktemp("environments")
    return CommandLine(cwd=root, variables=(("ENVLOCK_CACHE", str(root / "store")),))


@pytest.mark.parametrize("kind", KINDS)
def test_what_pip_sees_is_locked_or_named(kind: str, command: CommandLine, tmp_path: Path) -> None:
    python = KINDS[kind](tmp_path / "env")
    summary = json.loads(command.moved(tmp_path).done("capture", "--python", python, "--json"))
    lock = read_lock(tmp_path / LOCK)
    locked = {(package.name, package.version) for package in lock.packages}
    named = {gap["subject"] for gap in summary["gaps"]}
    seen = {(_normalised(name), version) for name, version in environments.listed_by_pip(python)}
    assert {one for one in seen - locked if one[0] not in named} == set()
    # Files of no distribution are carried in one that pip does not know.
    assert {one for one in locked - seen if one[0] != "envlock-orphans"} == set()
    assert lock.python.version == _version(python)


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(python: Path) -> str:
    argv = [str(python), "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("installer", ["pip", "uv"])
@pytest.mark.parametrize("make", [environments.mixed, environments.many], ids=["mixed", "many"])
def test_what_a_lock_installs_is_what_was_captured(
    make: Callable[[Path], Path], installer: str, command: CommandLine, tmp_path: Path
) -> None:
    python = make(tmp_path)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    command.moved(first).done("capture", "--python", python)
    lock = read_lock(first / LOCK)
    again = installed(first / LOCK, second / "env", python, installer)
    command.moved(second).done("capture", "--python", again)
    assert packages_of(read_lock(second / LOCK)) == packages_of(lock)
