"""No home directory, user name, host name or credential in lock, image or record."""

import json
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.project import Built, CommandLine, build_first

pytestmark = [pytest.mark.network, pytest.mark.slow]

USER = "zaphod-beeblebrox"
HOST = "heart-of-gold-42"
TOKENS = ("tok-4f1d7c2a9b", "hunter2-vogon", "gh-magrathea-77")


@pytest.fixture(scope="module")
def planted(small_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A capture and build by a user whose every private fact is recognisable."""
    root = tmp_path_factory.mktemp("planted")
    home = root / USER
    project = home / "project"
    project.mkdir(parents=True)
    (home / ".netrc").write_text(f"machine index.example login {USER} password {TOKENS[1]}\n")
    _repository(project)
    variables = {
        "HOME": str(home),
        "USER": USER,
        "LOGNAME": USER,
        "HOSTNAME": HOST,
        "HF_TOKEN": TOKENS[0],
        "WANDB_API_KEY": TOKENS[0],
        "AWS_SECRET_ACCESS_KEY": TOKENS[1],
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        return build_first(project, small_python, root / "store")


def _repository(project: Path) -> None:
    """A commit whose author and remote carry private facts."""
    git = ["git", "-C", str(project), "-c", f"user.name={USER}", "-c", f"user.email={USER}@{HOST}"]
    (project / "notes.txt").write_text("the job's code\n")
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "first"], check=True)
    remote = f"https://{USER}:{TOKENS[2]}@index.example/team/job.git"
    subprocess.run([*git, "remote", "add", "origin", remote], check=True)


def _private(built: Built) -> tuple[bytes, ...]:
    """Every text that may stand nowhere: the planted facts, and where things lie on this machine."""
    prefix = subprocess.run(
        [built.python, "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True, check=True
    ).stdout.strip()
    texts = [USER, HOST, *TOKENS, str(built.python.parents[1]), str(built.directory)]
    # A short host name (debian, localhost) stands in many files for other reasons.
    if len(socket.gethostname()) >= 10:
        texts.append(socket.gethostname())
    # An interpreter of the OS stays in /usr; one from under a home directory moves and must not name it.
    if prefix != "/usr":
        texts.append(prefix)
    return tuple(text.encode() for text in texts)


def _found(data: bytes, private: tuple[bytes, ...]) -> list[str]:
    return [text.decode() for text in private if text in data]


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is not None:
                yield member.name, stream.read()


def test_the_lock_names_nothing_private(planted: Built) -> None:
    assert _found(planted.lock.read_bytes(), _private(planted)) == []


def test_the_remote_is_locked_without_its_credentials(planted: Built) -> None:
    assert "index.example/team/job.git" in planted.lock.read_text()


def test_the_image_names_nothing_private(planted: Built) -> None:
    private = _private(planted)
    leaks: list[str] = []
    layers = 0
    for name, data in _members(planted.archive):
        plain = data
        if data.startswith(b"\x1f\x8b"):
            layers += 1
            with subprocess.Popen(["gzip", "-dc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
                plain, _ = process.communicate(data)
        leaks += [f"{name}: {text}" for text in _found(plain, private)]
    assert layers
    assert leaks == []


def test_the_record_names_nothing_private(planted: Built, namespaces: None) -> None:
    command: CommandLine = planted.command.having(
        USER=USER, LOGNAME=USER, HOSTNAME=HOST, HF_TOKEN=TOKENS[0], AWS_SECRET_ACCESS_KEY=TOKENS[1]
    )
    where = ("--engine", "embedded", "--image", f"oci-archive:{planted.archive}")
    record = planted.directory / "record.json"
    command.done("run", "run.yaml", "--seed", "42", *where, "--record", record)
    assert json.loads(record.read_text())["experiment"] == "small"
    assert _found(record.read_bytes(), _private(planted)) == []
