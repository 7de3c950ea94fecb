"""``envlock capture --from``, as a user runs it, on an image on disk that holds a real interpreter."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pydantic_core._pydantic_core
import pytest

from envlock.engines import pulled
from envlock.lock import file, identity
from envlock.lock.model import Gpu, Lock
from tests.engines import python_root

Envlock = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("image")
    # What envlock itself needs when it runs in a container of the image.
    guest = Path(str(pydantic_core._pydantic_core.__file__))
    root = python_root.made(directory / "root", [guest])
    return python_root.archived(root, directory / "image.tar", pulled.own_platform())


@pytest.fixture
def envlock(tmp_path: Path) -> Envlock:
    def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        argv = [
            sys.executable,
            "-m",
            "envlock",
            "capture",
            "--offline",
            "-o",
            "pylock.image.toml",
            *arguments,
        ]
        environ = os.environ | {"ENVLOCK_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "7"} | variables
        environ["PYTHONPATH"] = str(Path(__file__).parents[2])
        return subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)

    return run


def captured(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.slow
@pytest.mark.usefixtures("namespaces")
def test_the_lock_of_an_image_is_the_images_and_the_same_each_time(
    envlock: Envlock, archive: Path, tmp_path: Path
) -> None:
    lock = tmp_path / "pylock.image.toml"
    summary = captured(envlock("--from", f"docker-archive:{archive}", "--json"))
    text, found = lock.read_bytes(), file.read(lock)
    captured(envlock("--from", str(archive), "--python", "/opt/venv", "--json"))
    assert lock.read_bytes() == text
    assert summary["packages"] == 1
    (demo,) = found.packages
    assert (demo.name, demo.evidence) == ("demo", "repacked")
    assert found.os.id == "simulated"
    assert found.cpu.threads == (("OMP_NUM_THREADS", "3"),)
    assert found.cpu.cores >= 1
    for mine in (str(tmp_path), "hunter2", str(archive.parent), "rootfs"):
        assert mine.encode() not in text
    # The wheel holds what the image's own link leads to.
    with zipfile.ZipFile(tmp_path / str(demo.wheel.path)) as wheel:
        assert wheel.read("demo.py") == b"value = 1\n"


@pytest.mark.usefixtures("namespaces")
def test_an_image_without_the_interpreter_is_bad_input(envlock: Envlock, archive: Path) -> None:
    done = envlock("--from", str(archive), "--python", "/opt/conda/bin/python", "--quiet")
    assert done.returncode == 3
    assert done.stderr.startswith("envlock: the image has no such interpreter: /opt/conda/bin/python: ")


def test_without_an_engine_its_images_are_out_of_reach(envlock: Envlock, tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/none.sock"
    for reference in ("docker:team/train:7", "docker-container:job", "nothing-of-this-name:1"):
        done = envlock("--from", reference, DOCKER_HOST=host)
        assert done.returncode == 4
        assert done.stderr.startswith("envlock: no Docker engine answers: ")
        assert "Traceback" not in done.stderr


IMAGE = "envlock-test/capture:1"
# Started by envlock's own interpreter in the container; PYTHONPATH would be a fact of the capture.
INSIDE = (
    "import sys; sys.path[:0] = ['/envlock/source', '/envlock/site']\n"
    "from envlock.cli.main import main\n"
    "main(['capture', '--offline', '--quiet', '-o', '/out/pylock.inside.toml'])"
)


@pytest.fixture
def image(docker_host: str, archive: Path) -> Iterator[str]:
    """The archive, loaded into the Docker engine."""
    client = docker.from_env()
    with archive.open("rb") as stream:
        (loaded,) = client.images.load(stream)
    loaded.tag(*IMAGE.split(":"))
    yield IMAGE
    client.images.remove(IMAGE, force=True)
    client.close()


def run_inside(image: str, out: Path) -> Lock:
    """Capture with envlock in a container of the image, which may use one core."""
    (site,) = [path for path in sys.path if path.endswith("site-packages") and Path(path, "click").is_dir()]
    mounts = {sys.base_prefix: "/envlock/python", site: "/envlock/site"}
    mounts[str(Path(__file__).parents[2])] = "/envlock/source"
    binds = [word for source, target in mounts.items() for word in ("-v", f"{source}:{target}:ro")]
    argv = ["docker", "run", "--rm", "--network=none", "--cpus=1", *binds, "-v", f"{out}:/out"]
    argv += [
        "-e",
        "ENVLOCK_CACHE=/out/cache",
        image,
        f"/envlock/python/bin/{python_root.MINOR}",
        "-B",
        "-c",
        INSIDE,
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return file.read(out / "pylock.inside.toml")


def without_the_machine(lock: Lock) -> Lock:
    """Return the lock without CPU, GPU and project, which are facts of where envlock runs."""
    gaps = tuple(gap for gap in lock.gaps if gap.subject not in ("gpu", "project"))
    cpu = replace(lock.cpu, model="", isa="", cores=1, vendor="", flags=())
    return replace(lock, cpu=cpu, gpu=Gpu(), project=None, gaps=gaps)


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.usefixtures("namespaces")
def test_the_lock_is_the_one_that_envlock_makes_inside_a_container(
    envlock: Envlock, image: str, tmp_path: Path
) -> None:
    if sys.base_prefix == "/usr":
        pytest.skip("envlock's own interpreter would have to be mounted over the image's")
    captured(envlock("--from", f"docker:{image}", "--json"))
    outside = file.read(tmp_path / "pylock.image.toml")
    out = tmp_path / "out"
    out.mkdir(mode=0o777)
    inside = run_inside(image, out)
    assert inside.cpu.cores == 1
    assert without_the_machine(inside) == without_the_machine(outside)
    assert identity.environment_id(inside) == identity.environment_id(outside)
