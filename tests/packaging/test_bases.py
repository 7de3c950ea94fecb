"""An environment of the OS's own Python on images of a real engine: one that is there, one that is built."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from envlock.lock import file
from tests.registry import standing
from tests.registry.standing import LOCK, Project

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("namespaces")]

IMAGE = "envlock-test/on-base:1"


@pytest.fixture(scope="module")
def project(debian: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """An environment of the OS's own Python, as the image has it."""
    return standing.project(tmp_path_factory.mktemp("on-base") / "project", Path("/usr/bin/python3"))


@pytest.fixture
def image(engine: DockerClient) -> Iterator[str]:
    yield IMAGE
    engine.images.remove(IMAGE, force=True)


def printed(engine: DockerClient, image: str, *command: str) -> str:
    return bytes(engine.containers.run(image, list(command), remove=True, network_mode="none")).decode()


def test_an_image_of_the_engine_is_a_base(
    engine: DockerClient, project: Project, debian: str, image: str
) -> None:
    lock = project.captured(f"docker-daemon:{debian}")
    assert (lock.base.kind, lock.base.reference) == ("docker-daemon", debian)
    assert lock.base.layers[0].media_type.endswith("+gzip")
    assert {one.name for one in lock.system_packages} <= {"libc6", "zlib1g", "libgcc-s1", "libstdc++6"}
    first = project.built("-t", image, "-o", f"docker:{image}")
    assert project.built("-o", "oci:again", ENVLOCK_CACHE=str(project.directory / "other")) == first
    script = (
        "import sys, pwd, os; print(sys.prefix, sys.version.split()[0], pwd.getpwuid(os.getuid()).pw_name)"
    )
    assert printed(engine, image, "--seed", "1", "--", "python", "-c", script) == (
        f"/opt/env {lock.python.version} envlock\n"
    )
    # The links of a merged /usr are the base's still.
    assert printed(engine, image, "--seed", "1", "--", "readlink", "/lib") == "usr/lib\n"
    shutil.rmtree(project.directory / "other")


def test_the_projects_code_is_the_last_layer(
    engine: DockerClient, project: Project, debian: str, image: str
) -> None:
    code = project.directory / "code"
    (code / "src").mkdir(parents=True)
    (code / "train.py").write_text("from src import part; print(part.name)\n")
    (code / "src/part.py").write_text("name = 'one'\n")
    (code / ".env").write_text("TOKEN=hunter2\n")
    project.captured(f"docker-daemon:{debian}")
    first = project.built("--project", "code", "-o", f"docker:{image}")
    assert printed(engine, image, "--seed", "1", "--", "python", "train.py") == "one\n"
    assert printed(engine, image, "--seed", "1", "--", "sh", "-c", "ls -A; touch new && echo yes") == (
        "src\ntrain.py\nyes\n"
    )
    (code / "src/part.py").write_text("name = 'two'\n")
    assert project.built("--project", "code", "-o", f"docker:{image}") != first
    assert printed(engine, image, "--seed", "1", "--", "python", "train.py") == "two\n"
    done = project.envlock("build", "--plan", "--json", "--project", "code")
    assert json.loads(done.stdout)["layers"][-1] == {
        "holds": "project",
        "bytes": 52,
        "state": "build",
    }


def test_a_dockerfile_is_built_and_pinned(
    engine: DockerClient, project: Project, debian: str, image: str
) -> None:
    text = f"FROM {debian}\nENV CUDA_VERSION=12.4\nRUN mkdir /opt/env && echo made >/etc/motd\nUSER 4711\n"
    (project.directory / "Dockerfile.mine").write_text(text)
    project.captured("Dockerfile.mine")
    lock = file.read(project.directory / LOCK)
    assert (lock.base.kind, lock.base.reference) == ("dockerfile", "Dockerfile.mine")
    project.built("-o", f"docker:{image}")
    script = "import os; print(os.getuid(), os.environ['CUDA_VERSION'], open('/etc/motd').read().strip())"
    assert printed(engine, image, "--seed", "1", "--", "python", "-c", script) == "4711 12.4 made\n"


def test_a_dockerfile_that_can_not_be_built_is_told_with_its_last_words(
    project: Project, debian: str
) -> None:
    (project.directory / "Dockerfile.bad").write_text(f"FROM {debian}\nRUN echo no luck && exit 3\n")
    ca = project.directory / "ca.pem"
    ca.touch()
    for arguments in ((), ("--ca-bundle", str(ca))):
        done = project.capture("Dockerfile.bad", *arguments)
        assert done.returncode == 4
        assert "could not build an image" in done.stderr
        assert "no luck" in done.stderr
        assert ("hint: --ca-bundle does not reach a Docker build" in done.stderr) is bool(arguments)
