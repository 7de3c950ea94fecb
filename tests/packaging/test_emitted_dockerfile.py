"""What `envlock export --format dockerfile` writes builds with a real engine into the lock's environment."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from docker import DockerClient
from docker.errors import ImageNotFound

from envlock.image import dockerfile
from envlock.lock import codec
from envlock.lock.model import Lock
from tests.conftest import IN_CI
from tests.image.wheels import lock_of, package, wheel_items, write_wheel
from tests.wheels.conftest import IndexSimulator

IMAGE = "envlock-test/emitted:1"
LIST = (
    "import importlib.metadata as m, json; "
    "print(json.dumps(sorted((d.metadata['Name'], d.version) for d in m.distributions())))"
)

pytestmark = [pytest.mark.docker, pytest.mark.slow]

_NO_BUILDX = "buildx component is missing"


@pytest.fixture
def built(engine: DockerClient) -> Iterator[str]:
    """The name that a test builds under."""
    yield IMAGE
    with suppress(ImageNotFound):
        engine.images.remove(IMAGE, force=True)


@pytest.fixture
def lock(engine: DockerClient, debian: str, tmp_path: Path) -> Lock:
    """A lock for the Python that Debian has."""
    source = {"demo.py": b"def main():\n    print('hello')\n"}
    demo = wheel_items(files=source, entry_points="[console_scripts]\ndemo = demo:main\n")
    other = wheel_items("other", "2.5")
    made = lock_of(
        package(write_wheel(tmp_path, demo)), package(write_wheel(tmp_path, other, "other", "2.5"))
    )
    version = engine.containers.run(debian, ["python3", "-V"], remove=True).decode().split()[1]
    python = replace(made.python, version=version, prefix="/usr")
    return replace(made, python=python)


def emit(lock: Lock, directory: Path, wheels: dict[str, Path]) -> None:
    dockerfile.emit(lock, directory, lock_bytes=codec.dumps(lock), wheels=wheels)


def holds_the_lock(engine: DockerClient, image: str, lock: Lock) -> None:
    def printed(*command: str) -> str:
        told = engine.containers.run(image, list(command), remove=True, network_mode="none")
        return bytes(told).decode()

    found = json.loads(printed("--", "python", "-c", LIST))
    assert [tuple(one) for one in found] == [(one.name, one.version) for one in lock.packages]
    assert printed("--", "demo") == "hello\n"
    script = "import os; print(os.getuid(), os.environ['PYTHONHASHSEED'] != '', os.getcwd())"
    assert printed("--seed", "1", "--", "python", "-c", script) == "65532 True /work\n"


def test_with_every_wheel_beside_it_it_builds_without_a_network(
    engine: DockerClient, debian: str, built: str, lock: Lock, tmp_path: Path
) -> None:
    emit(lock, tmp_path / "docker", {one.name: tmp_path / one.wheel.name for one in lock.packages})
    engine.images.build(
        path=str(tmp_path / "docker"), tag=built, buildargs={"BASE": debian}, network_mode="none", rm=True
    )
    holds_the_lock(engine, built, lock)


def built_by_buildkit(options: list[str]) -> "subprocess.CompletedProcess[str]":
    """Build with the first docker on PATH that can: from 23 on one needs a plug-in, which may be missing."""
    found = (shutil.which("docker", path=place) for place in os.get_exec_path())
    ended = None
    for program in filter(None, found):
        ended = subprocess.run(
            [program, "build", *options],
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if _NO_BUILDX not in ended.stderr:
            break
    assert ended is not None, "the marker docker asks for the program"
    return ended


def test_a_private_index_is_reached_by_a_secret_that_stays_out_of_the_image(
    engine: DockerClient, debian: str, built: str, lock: Lock, tmp_path: Path, index: IndexSimulator
) -> None:
    index.user = ("someone", "pa55word")
    index.as_html = True
    for one in lock.packages:
        index.add((one.wheel.name, (tmp_path / one.wheel.name).read_bytes()))
    emit(lock, tmp_path / "docker", {})
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {index.index().url}\n")
    options = ["--network=host", f"--secret=id=pip.conf,src={tmp_path / 'pip.conf'}"]
    options += ["--build-arg", f"BASE={debian}", "-t", built]
    done = built_by_buildkit([*options, str(tmp_path / "docker")])
    if _NO_BUILDX in done.stderr and not IN_CI:
        pytest.skip("no docker client here speaks BuildKit")
    assert done.returncode == 0, done.stderr
    holds_the_lock(engine, built, lock)
    saved = b"".join(engine.images.get(built).save())
    assert b"demo" in saved
    assert b"pa55word" not in saved
    assert b"pa55word" not in json.dumps(engine.images.get(built).history()).encode()
