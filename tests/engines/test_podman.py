"""podman itself: an image goes in, jobs run with their streams and statuses, and what it lacks is told."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from envlock.core.progress import Silent
from envlock.engines import podman, select
from envlock.engines.engine import Job, Mount
from envlock.engines.podman import Podman
from envlock.host.store import Store
from envlock.runtime.errors import InputError, UnreachableError, UsageError
from tests.conftest import IN_CI

pytestmark = pytest.mark.slow

TAG = "envlock-test/podman:1"
# A machine without cgroups of its own needs runc and small limits; a user's containers.conf says the same.
SETTINGS = """
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """podman, set up as it must be here."""
    if shutil.which("podman") is None or shutil.which("runc") is None or os.geteuid() != 0:
        reason = "the programs podman and runc are not installed, or this is not root"
        if IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    file = tmp_path / "containers.conf"
    file.write_text(SETTINGS)
    monkeypatch.setenv("CONTAINERS_CONF", str(file))


@pytest.fixture
def engine(settings: None, layout: Path, store: Store) -> Iterator[Podman]:
    found = select.prepare("podman", f"oci:{layout}", store, Silent())
    assert isinstance(found, Podman)
    yield found
    subprocess.run(["podman", "rmi", "--force", found.name], check=False, capture_output=True)


def test_a_job_runs_with_its_streams_mounts_variables_and_status(
    engine: Podman, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    job = Job(
        arguments=("echo $WORD; echo told >&2; echo made >/out/file; exit 7",),
        mounts=(Mount(source=out, target="/out"),),
        environment=(("WORD", "spoken"),),
        network=False,
    )
    assert engine.run(job) == 7
    captured = capfd.readouterr()
    assert captured.out == "spoken\n"
    assert "told" in captured.err
    assert (out / "file").read_text() == "made\n"
    assert (out / "file").stat().st_uid == os.getuid()


def test_an_image_that_podman_has_runs_by_its_name(engine: Podman, store: Store) -> None:
    subprocess.run(["podman", "tag", engine.name, TAG], check=True)
    found = select.prepare("podman", f"podman:{TAG}", store, Silent())
    assert found.image.config_digest == engine.image.config_digest
    assert found.image.environment_id == engine.image.environment_id
    assert found.run(Job(arguments=("true",), network=False)) == 0
    with pytest.raises(UsageError, match=f"docker does not have this image: podman:{TAG}"):
        select.prepare("docker", f"podman:{TAG}", store, Silent())


def test_an_image_that_podman_lacks_is_named(settings: None) -> None:
    with pytest.raises(InputError, match=r"no such image in podman: team/none:1"):
        podman.tagged("team/none:1", Store(Path()))


def test_without_the_program_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnreachableError, match="podman can't be used") as told:
        podman.tagged("team/none:1", Store(Path()))
    assert "--engine embedded" in str(told.value.hint)


def test_a_container_that_can_not_start_is_no_failed_job(
    engine: Podman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(arguments=("true",), network=False, mounts=(Mount(source=tmp_path / "absent", target="/work"),))
    with pytest.raises(UnreachableError, match="podman could not start the container"):
        engine.run(job)
