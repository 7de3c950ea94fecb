"""``build --backend docker`` with a real engine: the files are those of the image built without one."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from tests.registry import standing
from tests.registry.standing import Project

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("namespaces")]

LAUNCHER = "/opt/env/bin/demo"
OURS, THEIRS = "envlock-test/daemonless:1", "envlock-test/by-engine:1"
LIST = """
import hashlib, json, os
found = {}
for top in ("/opt/env", "/opt/envlock", "/work", "/out"):
    for place, below, names in os.walk(top):
        below[:] = [name for name in below if name != "__pycache__"]
        for path in [place, *(os.path.join(place, name) for name in names)]:
            state, data = os.lstat(path), b""
            if os.path.islink(path):
                data = os.readlink(path).encode()
            elif os.path.isfile(path):
                data = open(path, "rb").read()
            found[path] = [state.st_mode, state.st_uid, hashlib.sha256(data).hexdigest()]
# Lines, and a last one with its end: an engine's log may cut others.
print(json.dumps(found, indent=1))
"""
# What pip writes about itself (PEP 376, PEP 610), and RECORD, which lists these and pip's bytecode.
PIPS_OWN = ("INSTALLER", "REQUESTED", "direct_url.json", "RECORD")


@pytest.fixture(scope="module")
def project(debian: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = standing.project(tmp_path_factory.mktemp("backend") / "project", Path("/usr/bin/python3"))
    made.captured(f"docker-daemon:{debian}")
    (made.directory / "code").mkdir()
    (made.directory / "code/train.py").write_text("import demo; demo.main()\n")
    return made


@pytest.fixture(scope="module")
def images(engine: DockerClient, project: Project) -> Iterator[dict[str, str]]:
    """The lock's image by either backend, built where a proxy and a CA of one's own are in use."""
    ca = project.directory / "ca.pem"
    ca.write_text("# corporate-marker\n")
    variables = {"HTTPS_PROXY": "http://ann:pa55word@127.0.0.1:9", "PIP_CERT": str(ca)}
    common = ["build", "--project", "code", "--no-bytecode", "--ca-bundle", str(ca), "--json"]
    for backend, tag in (("oci", OURS), ("docker", THEIRS)):
        done = project.envlock(*common, "--backend", backend, "-o", f"docker:{tag}", **variables)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["written"] == [f"docker:{tag}"]
    yield {"oci": OURS, "docker": THEIRS}
    for tag in (OURS, THEIRS):
        engine.images.remove(tag, force=True)


def files(engine: DockerClient, image: str) -> dict[str, list[object]]:
    told = engine.containers.run(
        image,
        ["-I", "-c", LIST],
        entrypoint="/opt/env/bin/python",
        user="0",
        remove=True,
        network_mode="none",
    )
    return {
        path: [stat.filemode(mode), owner, digest]
        for path, (mode, owner, digest) in json.loads(told).items()
        if path.rpartition("/")[2] not in PIPS_OWN
    }


def test_the_installed_files_are_those_of_the_daemonless_image(
    engine: DockerClient, images: dict[str, str]
) -> None:
    ours, theirs = files(engine, images["oci"]), files(engine, images["docker"])
    assert "/work/train.py" in ours
    # pip words a launcher otherwise; it is made of the same entry point, for the same interpreter.
    assert ours.pop(LAUNCHER)[:2] == theirs.pop(LAUNCHER)[:2]
    assert {path: theirs.get(path) for path in ours} == ours
    # What venv makes of its own: shells' activation, headers, and a link for 64-bit libraries.
    more = sorted(path for path in theirs.keys() - ours.keys())
    assert [
        path for path in more if not path.startswith(("/opt/env/bin/", "/opt/env/include", "/opt/env/lib64"))
    ] == []
    assert all("ctivate" in path for path in more if path.startswith("/opt/env/bin/"))


def test_variables_labels_user_and_entrypoint_are_the_same(
    engine: DockerClient, images: dict[str, str]
) -> None:
    ours, theirs = (engine.images.get(tag).attrs["Config"] for tag in images.values())
    for name in ("Labels", "User", "Entrypoint", "WorkingDir"):
        assert theirs[name] == ours[name]
    assert set(theirs["Env"]) == set(ours["Env"])


def test_the_same_seed_gives_the_same_in_both(engine: DockerClient, images: dict[str, str]) -> None:
    script = "import random; print(random.random())"
    told = {
        engine.containers.run(tag, ["--seed", "7", "--", "python", "-c", script], remove=True)
        for tag in images.values()
    }
    assert len(told) == 1
    ran = engine.containers.run(images["docker"], ["--seed", "7", "--", "python", "train.py"], remove=True)
    assert ran == b"hello\n"


def test_neither_the_ca_nor_the_proxy_is_in_an_image_or_its_history(
    engine: DockerClient, images: dict[str, str]
) -> None:
    for tag in images.values():
        history = json.dumps(engine.images.get(tag).history()).encode()
        saved = b"".join(engine.images.get(tag).save())
        assert b"import demo" in saved
        for secret in (b"corporate-marker", b"pa55word"):
            assert secret not in saved
            assert secret not in history


def test_an_engine_writes_no_archive(project: Project) -> None:
    for outputs in ((), ("-o", "oci:image")):
        done = project.envlock("build", "--backend", "docker", *outputs)
        assert done.returncode == 2
        assert "--backend docker builds in the engine only: expected -t TAG or -o docker:TAG" in done.stderr
