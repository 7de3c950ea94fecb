"""``envlock build``: what asks for something that Docker or nobody would do is refused, before any work."""

from pathlib import Path

import pytest

from tests.image import lock_project
from tests.image.lock_project import LockProject
from tests.image.wheels import wheel_items


@pytest.fixture
def project(tmp_path: Path) -> LockProject:
    return lock_project.make(tmp_path, ("demo", wheel_items("demo")), base=False)


@pytest.mark.parametrize("option", ["--plan", "--verify", "--sbom", "--provenance"])
@pytest.mark.parametrize(
    ("mode", "why"),
    [
        (("--backend", "docker", "-t", "x"), "--backend docker leaves the image to Docker and pip"),
        (("--emit-dockerfile", "docker"), "--emit-dockerfile builds nothing"),
    ],
)
def test_what_is_about_an_image_of_envlock_is_refused_for_one_of_docker(
    project: LockProject, mode: tuple[str, ...], why: str, option: str
) -> None:
    before = project.written()
    done = project.build(*mode, option)
    assert done.returncode == 2
    assert f"envlock: {why}: expected no --plan or --verify or --sbom or --provenance" in done.stderr
    assert f"found {option}\n" in done.stderr
    assert "hint: the daemonless build" in done.stderr
    assert project.written() == before


@pytest.mark.parametrize("output", [("-t", "x"), ("-o", "oci:image")])
def test_an_emitted_dockerfile_has_no_other_destination(
    project: LockProject, output: tuple[str, str]
) -> None:
    done = project.build("--emit-dockerfile", "docker", *output)
    assert done.returncode == 2
    assert f"found {output[0]}\n" in done.stderr
    assert not (project.directory / "docker").exists()
