"""What goes wrong is told in one message, with its exit status, and leaves nothing half-written."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from envlock.host.store import Store
from envlock.lock import codec
from tests.end_to_end.project import LOCK, Built

pytestmark = [pytest.mark.network, pytest.mark.slow]


def _files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def _edited(built: Built, directory: Path, change: Callable[[str], str]) -> Path:
    """Copy the lock to ``directory`` with its text changed."""
    built.copied(directory)
    lock = directory / LOCK
    text = lock.read_text()
    assert change(text) != text
    lock.write_text(change(text))
    return directory


def _with_wrong_hash(text: str) -> str:
    """Change one digit of joblib's wheel hash."""
    at = text.index("joblib-")
    found = re.compile(r'sha256 = "([0-9a-f])').search(text, at)
    assert found is not None
    wrong = "0" if found[1] != "0" else "1"
    return text[: found.start(1)] + wrong + text[found.end(1) :]


@pytest.mark.parametrize("store", ["full", "empty"])
def test_a_wrong_hash_names_the_package_and_writes_nothing(small: Built, tmp_path: Path, store: str) -> None:
    directory = _edited(small, tmp_path / "edited", _with_wrong_hash)
    before = _files(directory)
    command = small.command.moved(directory)
    if store == "empty":
        command = command.having(ENVLOCK_CACHE=str(tmp_path / "empty"))
    refused = command.run("build", "-o", "oci-archive:image.tar")
    assert refused.returncode == 5, refused.stderr
    assert "joblib" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert _files(directory) == before


def test_a_lock_of_a_newer_major_version_is_refused(small: Built, tmp_path: Path) -> None:
    def newer(text: str) -> str:
        return re.sub(r"(?m)^version = 1$", "version = 2", text, count=1)

    directory = _edited(small, tmp_path / "newer", newer)
    refused = small.command.moved(directory).run("build", "-o", "oci-archive:image.tar")
    assert refused.returncode == 3
    assert "version" in refused.stderr
    assert not (directory / "image.tar").exists()


def test_a_missing_lock_is_bad_input_with_a_hint(small: Built, tmp_path: Path) -> None:
    missing = small.command.moved(tmp_path).run("build")
    assert missing.returncode == 3
    assert "envlock capture" in missing.stderr.partition("hint:")[2]


def test_a_truncated_wheel_in_the_store_is_fetched_again(small: Built, tmp_path: Path) -> None:
    directory = small.copied(tmp_path / "project")
    store = tmp_path / "store"
    command = small.command.moved(directory).having(ENVLOCK_CACHE=str(store))
    command.done("build", "-o", "oci-archive:before.tar")
    lock = codec.loads(small.lock.read_bytes(), LOCK)
    truncated = 0
    for package in lock.packages:
        blob = Store(store).find(package.wheel.sha256)
        if blob is not None:
            os.chmod(blob, 0o644)
            os.truncate(blob, blob.stat().st_size // 2)
            truncated += 1
    assert truncated
    # The cached layers go too, so that the build must read the wheels.
    for path in (store / "facts").rglob("*.json"):
        path.unlink()
    command.done("build", "-o", "oci-archive:after.tar")
    assert (directory / "after.tar").read_bytes() == (directory / "before.tar").read_bytes()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_ends_in_one_message_and_no_partial_output(small: Built, tiny_disk: Path) -> None:
    refused = small.command.run("build", "-o", f"oci-archive:{tiny_disk / 'image.tar'}")
    assert refused.returncode == 4, refused.stderr
    assert "no space left on the disk" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert _files(tiny_disk) == []


def test_a_full_store_ends_in_one_message_and_no_partial_output(
    small: Built, tiny_disk: Path, tmp_path: Path
) -> None:
    directory = small.copied(tmp_path / "project")
    command = small.command.moved(directory).having(ENVLOCK_CACHE=str(tiny_disk / "store"))
    refused = command.run("build", "-o", "oci-archive:image.tar")
    assert refused.returncode == 4, refused.stderr
    assert "no space left on the disk" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (directory / "image.tar").exists()
    assert not [name for name in _files(tiny_disk) if name.endswith(".part")]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_build_leaves_nothing_half_written(
    small: Built, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    directory = small.copied(tmp_path / "project")
    before = _files(directory)
    store = tmp_path / "store"
    command = small.command.moved(directory).having(ENVLOCK_CACHE=str(store))
    process = subprocess.Popen(
        command.argv("build", "-o", "oci-archive:image.tar"),
        cwd=directory,
        env=command.environ(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore Ctrl-C, and so would the build that inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )
    while process.poll() is None and not _files(store):
        time.sleep(0.01)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == status, told
    assert "Traceback" not in told
    assert _files(directory) == before
    assert not [name for name in _files(store) if name.endswith(".part")]
    # What stayed in the store is whole: the next build goes on from there.
    command.done("build", "-o", "oci-archive:image.tar")
    assert (directory / "image.tar").read_bytes() == small.archive.read_bytes()
