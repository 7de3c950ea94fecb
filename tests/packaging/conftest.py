"""A Docker engine with a plain Debian image, made here, and an index to install from."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker import DockerClient

from tests.wheels.conftest import index

__all__ = ["debian", "engine", "index"]

ROOT = Path(__file__).parents[2]
# A tag for each process of the tests: one engine serves them all, and each removes its own.
DEBIAN = f"envlock-test/debian-{os.getpid()}:1"


@pytest.fixture(scope="session")
def engine(docker_host: str) -> Iterator[DockerClient]:
    client = docker.from_env(timeout=300)
    yield client
    client.close()


@pytest.fixture(scope="session")
def debian(engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Debian with Python; no image registry is asked."""
    if shutil.which("mmdebstrap") is None or os.geteuid() != 0:
        pytest.skip("a Debian root file system needs mmdebstrap and root")
    archive = tmp_path_factory.mktemp("debian") / "debian.tar"
    subprocess.run(["sh", ROOT / ".ci/base-image", archive], check=True)
    with archive.open("rb") as stream:
        repository, tag = DEBIAN.split(":")
        engine.api.import_image_from_data(stream, repository=repository, tag=tag)
    archive.unlink()
    yield DEBIAN
    engine.images.remove(DEBIAN, force=True)
