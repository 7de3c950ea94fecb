"""The whole job on a real environment: torch, TensorFlow and at least 60 distributions."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.installing import installs_the_same, read_lock
from tests.end_to_end.project import Built
from tests.end_to_end.rebuilding import CONDITIONS, file_digest, manifest_digest, rebuilt
from tests.end_to_end.running import (
    load_into_docker,
    remove_from_docker,
    run_docker,
    run_embedded,
    verdict_of,
)

pytestmark = [pytest.mark.network, pytest.mark.slow]


def test_every_package_is_one_wheel_by_hash(frameworks: Built) -> None:
    packages = {package.name: package for package in read_lock(frameworks.lock).packages}
    assert len(packages) >= 60
    assert {"torch", "tensorflow-cpu", "numpy"} <= set(packages)
    # No index has a wheel of a local version such as 2.13.0+cpu.
    if "+" in packages["torch"].version:
        assert packages["torch"].evidence in {"repacked", "recorded", "hashed"}
    assert packages["numpy"].evidence == "matched"


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_frameworks_archive_is_the_same_byte_for_byte(
    frameworks: Built, tmp_path: Path, name: str
) -> None:
    again = rebuilt(frameworks, tmp_path, CONDITIONS[name])
    assert manifest_digest(again) == manifest_digest(frameworks.archive)
    assert file_digest(again) == file_digest(frameworks.archive)
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_what_the_frameworks_lock_installs_is_what_was_captured(
    frameworks: Built, tmp_path: Path, installer: str
) -> None:
    installs_the_same(frameworks, tmp_path, installer)
    shutil.rmtree(tmp_path)


@pytest.fixture
def frameworks_image(frameworks: Built, docker_host: str, tmp_path: Path) -> Iterator[str]:
    tag = load_into_docker(frameworks, "envlock-test/frameworks:1", tmp_path)
    yield tag
    remove_from_docker(tag)


@pytest.mark.docker
def test_torch_and_tensorflow_repeat_across_engines(
    frameworks: Built, frameworks_image: str, namespaces: None, tmp_path: Path
) -> None:
    first = run_docker(frameworks_image, "frameworks.yaml", 42, tmp_path / "first")
    second = run_docker(frameworks_image, "frameworks.yaml", 42, tmp_path / "second")
    other = run_docker(frameworks_image, "frameworks.yaml", 43, tmp_path / "other")
    embedded = run_embedded(frameworks, "frameworks.yaml", 42, tmp_path / "embedded")
    assert len(first.hashes) == 3
    assert first.hashes == second.hashes == embedded.hashes
    assert set(first.hashes).isdisjoint(other.hashes)
    assert first.outputs() == second.outputs() == embedded.outputs()
    assert verdict_of(frameworks.command, first, embedded) == "identical"
    assert verdict_of(frameworks.command, first, other) == "different"
