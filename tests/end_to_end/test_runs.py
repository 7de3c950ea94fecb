"""The same seed gives the same results, another seed others, whichever engine runs the image.

The jobs under ``jobs/`` make no seeding call of their own.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.project import Built
from tests.end_to_end.running import (
    load_into_docker,
    remove_from_docker,
    run_docker,
    run_embedded,
    verdict_of,
)

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture
def small_image(small: Built, docker_host: str, tmp_path: Path) -> Iterator[str]:
    tag = load_into_docker(small, "envlock-test/small:1", tmp_path)
    yield tag
    remove_from_docker(tag)


def test_one_seed_gives_one_result_and_another_seed_another(
    small: Built, namespaces: None, tmp_path: Path
) -> None:
    first = run_embedded(small, "run.yaml", 42, tmp_path / "first")
    second = run_embedded(small, "run.yaml", 42, tmp_path / "second")
    other = run_embedded(small, "run.yaml", 43, tmp_path / "other")
    assert len(first.hashes) == 1
    assert first.hashes == second.hashes != other.hashes
    assert verdict_of(small.command, first, second) == "identical"
    assert verdict_of(small.command, first, other) == "different"
    assert len(first.outputs()) == 2


def test_a_replay_verifies_the_recorded_run(small: Built, namespaces: None, tmp_path: Path) -> None:
    first = run_embedded(small, "run.yaml", 42, tmp_path / "first")
    command = small.command.moved(tmp_path / "first")
    where = ("--engine", "embedded", "--image", f"oci-archive:{small.archive}")
    before = first.outputs()
    command.done("replay", first.record, *where)
    assert first.outputs() == before


def test_the_job_decides_the_exit_status(small: Built, namespaces: None, tmp_path: Path) -> None:
    command = small.command.moved(tmp_path)
    where = ("--engine", "embedded", "--image", f"oci-archive:{small.archive}")
    failed = command.run("run", "--seed", "1", *where, "--", "python", "-c", "raise SystemExit(7)")
    assert failed.returncode == 7, failed.stderr


def test_brackets_of_the_job_are_told_as_they_are(small: Built, namespaces: None, tmp_path: Path) -> None:
    """rich takes what stands in brackets for a style."""
    command = small.command.moved(tmp_path)
    where = ("--engine", "embedded", "--image", f"oci-archive:{small.archive}")
    job = "import os; os.mkdir('out/fold[1] [b] ['); open('out/fold[1] [b] [/b].txt', 'w')"
    told = command.run("run", "--seed", "1", *where, "--", "python", "-c", job)
    assert told.returncode == 0, told.stderr
    assert "fold[1] [b] [/b].txt" in told.stderr


def test_an_image_that_is_not_there_is_the_runs_own_failure(small: Built, tmp_path: Path) -> None:
    missing = small.command.moved(tmp_path).run(
        "run", "--seed", "1", "--engine", "embedded", "--image", "oci-archive:none.tar", "--", "true"
    )
    assert missing.returncode == 121
    assert "none.tar" in missing.stderr


@pytest.mark.docker
def test_docker_and_the_embedded_engine_give_the_same_results(
    small: Built, small_image: str, namespaces: None, tmp_path: Path
) -> None:
    first = run_docker(small_image, "run.yaml", 42, tmp_path / "first")
    second = run_docker(small_image, "run.yaml", 42, tmp_path / "second")
    other = run_docker(small_image, "run.yaml", 43, tmp_path / "other")
    embedded = run_embedded(small, "run.yaml", 42, tmp_path / "embedded")
    assert first.hashes == second.hashes == embedded.hashes != other.hashes
    assert first.outputs() == second.outputs() == embedded.outputs() != other.outputs()
    assert verdict_of(small.command, first, embedded) == "identical"
    assert verdict_of(small.command, first, other) == "different"


@pytest.mark.docker
def test_envlock_run_drives_docker(small: Built, small_image: str, tmp_path: Path) -> None:
    command = small.command.moved(tmp_path)
    where = ("--engine", "docker", "--image", f"docker:{small_image}")
    told = command.done("run", "--seed", "42", *where, "--", "python", "-c", "print(hash('a'))")
    again = command.done("run", "--seed", "42", *where, "--", "python", "-c", "print(hash('a'))")
    assert told == again != ""


@pytest.mark.docker
def test_docker_run_alone_tells_how_the_image_is_used(small_image: str) -> None:
    told = subprocess.run(["docker", "run", "--rm", small_image], capture_output=True, text=True, check=True)
    assert "--seed" in told.stdout
