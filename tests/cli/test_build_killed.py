"""A build that is killed, disturbed or not alone: the next one gives the same image, whatever was left."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.image import lock_project
from tests.image.lock_project import LockProject

pytestmark = pytest.mark.slow

_ROUNDS = 6
_MODULES = 60


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> LockProject:
    return lock_project.large(tmp_path_factory.mktemp("killed"), _MODULES)


@pytest.fixture(scope="module")
def right(made: LockProject) -> bytes:
    """The archive as an undisturbed build writes it; the project's own store stays as it is."""
    return built(made, copied(made, made.root / "right"))


def copied(made: LockProject, store: Path) -> Path:
    """Return a store that has wheels and base, and nothing that a build made."""
    return Path(shutil.copytree(made.store.root, store))


def built(made: LockProject, store: Path) -> bytes:
    name = f"{store.name}.tar"
    done = made.build("-q", "--no-sbom", "--no-provenance", "-o", f"oci-archive:{name}", store=store)
    assert done.returncode == 0, done.stderr
    return (made.directory / name).read_bytes()


def started(made: LockProject, store: Path, output: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        made.argv("-q", "--no-sbom", "--no-provenance", "-o", f"oci-archive:{output}"),
        cwd=made.directory,
        env=made.environ(store),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.parametrize("whole_group", [True, False], ids=["with its workers", "alone"])
def test_a_build_killed_at_any_moment_does_not_mislead_the_next(
    made: LockProject, right: bytes, tmp_path: Path, *, whole_group: bool
) -> None:
    """One store through all rounds: each begins with what the killed ones left, some of it taken away."""
    begun = time.monotonic()
    built(made, copied(made, tmp_path / "timed"))
    takes = time.monotonic() - begun
    store = copied(made, tmp_path / "store")
    chosen = random.Random(7)
    killed = 0
    for number in range(_ROUNDS):
        output = f"round-{number}-{whole_group}.tar"
        process = started(made, store, output)
        time.sleep(takes * chosen.random())
        killed += process.poll() is None
        with suppress(ProcessLookupError):  # it had ended
            (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
        target = made.directory / output
        assert not target.exists() or target.read_bytes() == right
        _forget_some(store, chosen)
    assert killed
    assert built(made, store) == right


def _forget_some(store: Path, chosen: random.Random) -> None:
    """Take away some notes, so that the next round has something to do."""
    for fact in sorted((store / "facts").rglob("*.json")):
        if chosen.random() < 0.3:
            fact.unlink(missing_ok=True)


def test_two_builds_at_once_on_one_cache_give_the_same(
    made: LockProject, right: bytes, tmp_path: Path
) -> None:
    store = copied(made, tmp_path / "store")
    both = [started(made, store, f"both-{number}.tar") for number in range(2)]
    assert [process.wait(300) for process in both] == [0, 0]
    for number in range(2):
        assert (made.directory / f"both-{number}.tar").read_bytes() == right


def _truncate(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size // 2)


def _flip(path: Path) -> None:
    """Change one byte and put the times back as far as a program can."""
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.seek(before.st_size // 2)
        byte = stream.read(1)
        stream.seek(before.st_size // 2)
        stream.write(bytes([byte[0] ^ 1]) if byte else b"x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("damage", [_truncate, _flip])
@pytest.mark.parametrize("kind", ["blobs", "facts", "interpreters"])
def test_what_was_damaged_in_the_cache_is_made_anew(
    made: LockProject, right: bytes, tmp_path: Path, kind: str, damage: Callable[[Path], None]
) -> None:
    given = {path.name for path in (made.store.root / "blobs/sha256").iterdir()}
    store = copied(made, tmp_path / "store")
    built(made, store)
    damaged = [
        path
        for path in sorted((store / kind).rglob("*"))
        # An offline build can't fetch wheels and base again: those are the tests of a fetch.
        if path.is_file() and not path.is_symlink() and path.name not in given
    ]
    assert damaged
    for path in damaged:
        damage(path)
    if kind == "interpreters":
        # Else nothing would be compiled, and no interpreter looked at.
        shutil.rmtree(store / "facts")
    assert built(made, store) == right
