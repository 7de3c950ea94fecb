"""An environment on a base out of a real registry, and on one that lies on this disk."""

import shutil
import subprocess
from pathlib import Path

import pytest

from envlock.engines import pulled
from envlock.engines.configuration import ImageConfiguration
from envlock.lock import file
from envlock.lock.model import Lock
from envlock.oci.reader import open_image
from tests.engines import python_root
from tests.engines.python_root import PythonRoot
from tests.registry import standing
from tests.registry.real import RealRegistry
from tests.registry.standing import LOCK, Project

pytestmark = [pytest.mark.registry, pytest.mark.slow, pytest.mark.usefixtures("namespaces", "skopeo")]

REPOSITORY = "base/python"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return standing.archive(tmp_path_factory.mktemp("base"), ("CUDA_VERSION", "12.4"), ("PYTHONPATH", "/srv"))


@pytest.fixture(scope="module")
def name(registry: RealRegistry, archive: Path) -> str:
    name = f"{registry.host}/{REPOSITORY}:1"
    standing.push(archive, name)
    return name


@pytest.fixture(scope="module")
def locked(name: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose lock stands on the registry's base."""
    project = standing.project(tmp_path_factory.mktemp("locked") / "project")
    project.captured(name)
    return project


@pytest.fixture
def project(locked: Project, tmp_path: Path) -> Project:
    """A copy of it, with a store that has nothing."""
    shutil.copytree(locked.directory / ".envlock", tmp_path / ".envlock")
    shutil.copy(locked.directory / LOCK, tmp_path)
    return Project(directory=tmp_path, python=locked.python)


def lock_of(project: Project) -> Lock:
    return file.read(project.directory / LOCK)


def blob_file(registry: RealRegistry, lock: Lock) -> Path:
    """Where the registry keeps the base's own layer."""
    digest = lock.base.layers[0].blob.hex
    return registry.directory / f"docker/registry/v2/blobs/sha256/{digest[:2]}/{digest}/data"


def test_the_lock_pins_what_the_tag_stood_for(locked: Project, name: str) -> None:
    base = lock_of(locked).base
    assert (base.kind, base.reference, base.python) == ("registry", name, str(python_root.EXECUTABLE))
    assert base.digest is not None
    assert [layer.added for layer in base.layers][:2] == [False, True]
    assert dict(base.environment)["CUDA_VERSION"] == "12.4"
    text = (locked.directory / LOCK).read_text()
    for unwanted in ("hunter2", "PYTHONPATH =", str(locked.directory)):
        assert unwanted not in text
    assert lock_of(locked).os.id == "simulated"


def test_only_what_no_registry_has_lies_beside_the_lock(locked: Project) -> None:
    beside = {path.name for path in (locked.directory / ".envlock/blobs").iterdir()}
    assert beside == {layer.blob.hex for layer in lock_of(locked).base.layers if layer.added}


def test_a_tag_that_moved_changes_no_build(
    project: Project, registry: RealRegistry, name: str, archive: Path, tmp_path: Path
) -> None:
    first = project.built()
    other = standing.archive(tmp_path / "other", ("CUDA_VERSION", "13.0"))
    standing.push(other, name)
    try:
        assert project.built(ENVLOCK_CACHE=str(tmp_path / "empty")) == first
    finally:
        standing.push(archive, name)


def test_the_image_runs_with_the_bases_interpreter_and_variables(project: Project) -> None:
    done = project.envlock("build")
    assert done.returncode == 0, done.stderr
    script = "import demo, os, sys; print(sys.prefix, os.environ['CUDA_VERSION'], 'API_TOKEN' in os.environ)"
    done = project.envlock("run", "--seed", "1", "--engine", "embedded", "--", "python", "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "/opt/env 12.4 False\n"
    again = project.envlock("run", "--seed", "1", "--engine", "embedded", "--", "demo")
    assert again.stdout == "hello\n"


def test_the_image_is_one_that_another_reader_takes(project: Project, tmp_path: Path) -> None:
    project.built("-o", "oci:image")
    copied = f"oci:{tmp_path / 'copied'}"
    subprocess.run(["skopeo", "copy", "--quiet", f"oci:{tmp_path / 'image'}", copied], check=True)
    assert {layer.media_type for layer in open_image(copied).image.layers} == {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    }


def test_offline_the_base_is_out_of_reach_and_is_named(project: Project, name: str) -> None:
    done = project.envlock("build", "--offline")
    digest = lock_of(project).base.digest
    assert done.returncode == 4
    assert "base, layer 1 of 1" in done.stderr
    assert f"of registry:{name}@{digest}" in done.stderr


def test_a_bundle_brings_the_base_where_no_registry_is(project: Project, tmp_path: Path) -> None:
    first = project.built()
    done = project.envlock("export", "--bundle", "exp.bundle")
    assert done.returncode == 0, done.stderr
    empty = str(tmp_path / "empty")
    assert project.built("--from", "exp.bundle", "--offline", ENVLOCK_CACHE=empty) == first


def test_a_base_with_other_bytes_is_refused(project: Project, registry: RealRegistry) -> None:
    data = blob_file(registry, lock_of(project))
    whole = data.read_bytes()
    data.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        done = project.envlock("build")
    finally:
        data.write_bytes(whole)
    assert done.returncode == 5, done.stderr


def test_a_base_that_the_registry_has_no_more_is_bad_input_that_names_it(
    project: Project, registry: RealRegistry, name: str
) -> None:
    data = blob_file(registry, lock_of(project))
    data.rename(data.with_suffix(".away"))
    try:
        done = project.envlock("build")
    finally:
        data.with_suffix(".away").rename(data)
    assert done.returncode == 3, done.stderr
    assert name.partition(":1")[0] in done.stderr


def test_of_an_index_the_image_for_this_machine_is_taken(
    registry: RealRegistry, name: str, locked: Project, tmp_path: Path
) -> None:
    digest = standing.push_index(registry, REPOSITORY, "all", of="1")
    project = Project(directory=tmp_path, python=locked.python)
    base = project.captured(f"registry:{registry.host}/{REPOSITORY}:all").base
    assert str(base.digest) == digest
    assert base.layers == lock_of(locked).base.layers


def test_a_base_on_this_disk_travels_with_the_lock(archive: Path, locked: Project, tmp_path: Path) -> None:
    project = Project(directory=tmp_path, python=locked.python)
    lock = project.captured(f"docker-archive:{archive}")
    assert (lock.base.kind, lock.base.reference) == ("docker-archive", archive.name)
    # The same base is the same environment, wherever it came from.
    assert [one.diff_id for one in lock.base.layers] == [one.diff_id for one in lock_of(locked).base.layers]
    first = project.built("--offline")
    assert project.built("--offline", ENVLOCK_CACHE=str(tmp_path / "empty")) == first
    beside = tmp_path / ".envlock/blobs" / lock.base.layers[0].blob.hex
    beside.write_bytes(b"other")
    assert project.envlock("build", ENVLOCK_CACHE=str(tmp_path / "third")).returncode == 5
    beside.unlink()
    done = project.envlock("build", ENVLOCK_CACHE=str(tmp_path / "third"))
    assert done.returncode == 3
    assert "base, layer 1 of 1" in done.stderr


def test_a_base_without_the_interpreter_is_bad_input(locked: Project, tmp_path: Path) -> None:
    empty = tmp_path / "root"
    (empty / "etc").mkdir(parents=True)
    (empty / "etc/os-release").write_text("ID=small\n")
    root = PythonRoot(empty, ImageConfiguration())
    made = python_root.archived(root, tmp_path / "base.tar", pulled.own_platform())
    project = Project(directory=tmp_path, python=locked.python)
    done = project.capture(str(made))
    assert done.returncode == 3
    assert "the base does not bring the environment's interpreter" in done.stderr
    assert "found no Python interpreter" in done.stderr
    assert not (tmp_path / LOCK).exists()


@pytest.mark.parametrize("base", ["oci:absent", "dockerfile:no"])
def test_a_base_that_is_nowhere_ends_in_one_message(locked: Project, tmp_path: Path, base: str) -> None:
    done = Project(directory=tmp_path, python=locked.python).capture(base)
    assert done.returncode in (3, 4)
    assert done.stderr.splitlines()[-1].startswith(("envlock: ", "hint: "))
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("base", "asked"), [("host", True), ("oci:absent", False)])
def test_a_base_that_is_nowhere_is_told_before_any_index_is_asked(
    locked: Project, tmp_path: Path, base: str, *, asked: bool
) -> None:
    project = Project(directory=tmp_path, python=locked.python)
    argv = ("capture", "--python", str(project.python), "--base", base)
    done = project.envlock(*argv, PIP_INDEX_URL="http://127.0.0.1:9/simple", UV_INDEX_URL="")
    assert ("127.0.0.1:9" in done.stderr) is asked
    assert asked or done.returncode == 3
