"""Dockerfile.base builds on a plain Debian image and holds what docs/image.md promises of a base."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

ROOT = Path(__file__).parents[2]
BASE = "envlock-test/base:1"

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture(scope="module")
def base(engine: DockerClient, debian: str) -> Iterator[str]:
    """The image that Dockerfile.base makes of a Debian made here."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        tar.add(ROOT / "Dockerfile.base", "Dockerfile")
    context.seek(0)
    engine.images.build(fileobj=context, custom_context=True, tag=BASE, buildargs={"BASE": debian}, rm=True)
    yield BASE
    engine.images.remove(BASE, force=True)


def _printed(engine: DockerClient, image: str, script: str, user: str | None = None) -> str:
    told = engine.containers.run(image, ["sh", "-c", script], user=user, remove=True, network_mode="none")
    return bytes(told).decode().strip()


def test_the_job_is_no_root(engine: DockerClient, base: str) -> None:
    assert (
        _printed(engine, base, "id -u; id -g; id -un; pwd; echo $HOME")
        == "65532\n65532\nenvlock\n/work\n/tmp"
    )


def test_any_user_may_write_where_results_go(engine: DockerClient, base: str) -> None:
    script = "for place in /work /out /tmp; do touch $place/file && stat -c '%a' $place; done"
    assert _printed(engine, base, script, user="4711:4711") == "1777\n1777\n1777"


def test_the_environments_programs_come_first(engine: DockerClient, base: str) -> None:
    assert _printed(engine, base, "echo $PATH").startswith("/opt/env/bin:")


def test_the_interpreter_and_the_openmp_runtime_are_there(engine: DockerClient, base: str) -> None:
    script = "python3 -c \"import ctypes, ssl, venv; ctypes.CDLL('libgomp.so.1'); print('ready')\""
    assert _printed(engine, base, script) == "ready"
