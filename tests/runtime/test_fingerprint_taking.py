"""The entrypoint's ``--fingerprint`` and ``--against``, with real NumPy."""

import json
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from envlock.runtime import record
from tests.runtime.conftest import FakeImage, make

SLOW_NUMPY = "import os, time\nopen(os.environ['STARTED'], 'w').close()\ntime.sleep(60)\n"


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> FakeImage:
    """An image with NumPy, for tests that leave it as it was."""
    image = make(tmp_path_factory.mktemp("numpy"), sys.executable)
    image.describe(packages={"numpy": np.__version__})
    return image


@pytest.fixture(scope="module")
def taken(described: FakeImage) -> Path:
    """A fingerprint of this host."""
    done = described.run("--fingerprint")
    assert done.status == 0
    path = described.root / "host.json"
    path.write_text(done.stdout)
    return path


@pytest.fixture(scope="module")
def other(taken: Path) -> Path:
    """A fingerprint of a host that computes exp otherwise, with two more threads."""
    found = json.loads(taken.read_text())
    found["frameworks"][0]["operations"]["numpy.float32.exp"] = "0" * 16
    found["settings"]["threads"] = 4
    path = taken.with_name("other.json")
    path.write_text(json.dumps(found))
    return path


def test_alone_it_prints_json_and_a_short_summary(described: FakeImage, taken: Path) -> None:
    found = json.loads(taken.read_text())
    assert found["settings"] == {"determinism": "warn", "isa": "portable", "threads": 2}
    assert [one["name"] for one in found["frameworks"]] == ["numpy"]
    done = described.run("--fingerprint", env={"ENVLOCK_SEED": "5"})
    assert json.loads(done.stdout)["digest"] == found["digest"]
    assert done.records == ()
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"envlock: fingerprint: numpy {np.__version__}: ")
    assert lines[1].startswith(f"envlock: fingerprint {found['digest'][:12]}: ")
    assert len(lines) == 2


def test_with_a_command_it_goes_to_the_record_and_the_job_is_left_alone(described: FakeImage) -> None:
    environ = {"ENVLOCK_FINGERPRINT": "1", "ENVLOCK_QUIET": "1", "ENVLOCK_SEED": "1"}
    done = described.run("sh", "-c", "echo [$ENVLOCK_FINGERPRINT]; exit 7", env=environ)
    assert (done.status, done.stdout, done.stderr) == (7, "[]\n", "")
    assert done.record.fingerprint is not None
    assert done.record.fingerprint.count > 100
    assert [one.stream for one in done.record.seeds] == ["python.hash"]


def test_without_being_asked_there_is_none(described: FakeImage) -> None:
    assert described.run("true").record.fingerprint is None


def test_a_module_of_the_job_does_not_stand_in_for_the_frameworks(image: FakeImage) -> None:
    image.describe(packages={"numpy": np.__version__})
    (image.work / "numpy.py").write_text("raise SystemExit('the job's own')\n")
    found = json.loads(image.run("--fingerprint").stdout)
    assert found["frameworks"][0]["failure"] is None


def test_an_image_without_frameworks_says_so(image: FakeImage) -> None:
    done = image.run("--fingerprint")
    assert (done.status, json.loads(done.stdout)["frameworks"]) == (0, [])
    assert done.stderr == "envlock: fingerprint: no framework of this image is known to it\n"


def test_a_host_that_computes_alike_is_told(described: FakeImage, taken: Path) -> None:
    done = described.run("--against", str(taken))
    assert done.status == 0
    assert "operations as in host.json" in done.stderr
    done = described.run("--seed", "1", "--against", str(taken), "echo", "ran")
    assert (done.status, done.stdout) == (0, "ran\n")
    assert "this host computes all" in done.stderr
    assert done.record.reasons == described.run("true").record.reasons


def test_a_host_that_computes_otherwise_names_the_operations(described: FakeImage, other: Path) -> None:
    sentence = "operations differently from other.json: numpy.float32.exp"
    done = described.run("--against", str(other))
    assert (done.status, json.loads(done.stdout)["frameworks"][0]["name"]) == (1, "numpy")
    assert sentence in done.stderr
    assert "not the same in the fingerprints: threads 4 and 2" in done.stderr
    done = described.run("--seed", "1", "--against", str(other), "true")
    assert done.status == 0
    assert done.stderr.count(sentence) == 1
    assert done.record.grade == "numerics may differ"
    assert sentence in done.record.reasons[0]
    assert described.run("--quiet", "--against", str(other)).stderr == ""


def test_check_grades_by_the_fingerprint_too(described: FakeImage, taken: Path, other: Path) -> None:
    done = described.run("--check", "--against", str(taken))
    assert done.status == 0
    assert "  this host computes all" in done.stdout
    done = described.run("--check", "--against", str(other), "touch", "ran")
    assert (done.status, done.stdout.splitlines()[0]) == (1, "numerics may differ")
    assert done.stdout.count("differently from other.json") == 1
    assert not (described.work / "ran").exists()


def test_a_mismatch_can_be_refused(described: FakeImage, other: Path) -> None:
    manifest = {"envlock": 1, "hardware": {"on-mismatch": "refuse"}}
    (described.work / "refuse.json").write_text(json.dumps(manifest))
    done = described.run("--manifest", "refuse.json", "--against", str(other), "touch", "ran")
    assert (done.status, done.records) == (121, ())
    assert "numpy.float32.exp" in done.stderr
    assert not (described.work / "ran").exists()


def test_a_run_that_is_refused_anyway_takes_none(described: FakeImage) -> None:
    done = described.run("--fingerprint", "true", env={"RANK": "0", "WORLD_SIZE": "2"})
    assert done.status == 121
    assert "envlock: fingerprint" not in done.stderr


def test_a_file_that_cannot_be_compared_with_is_refused_at_once(described: FakeImage) -> None:
    done = described.run("--against", "none.json", "touch", "ran")
    assert (done.status, done.stdout, done.records) == (121, "", ())
    assert "cannot read a fingerprint: none.json" in done.stderr


def test_a_stop_ends_the_probe_too(image: FakeImage) -> None:
    image.describe(packages={"numpy": "2"})
    (image.root / "slow").mkdir()
    (image.root / "slow" / "numpy.py").write_text(SLOW_NUMPY)
    started = image.root / "started"
    process = image.start(
        "--fingerprint", env={"PYTHONPATH": str(image.root / "slow"), "STARTED": str(started)}
    )
    deadline = time.monotonic() + 30
    while not started.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (143, "")


def test_a_probe_sees_the_switches_of_the_run_and_not_its_files(image: FakeImage) -> None:
    """A NumPy that tells what it saw in place of its version."""
    image.describe(packages={"numpy": "2"})
    names = ("ENVLOCK_DETERMINISM", "OMP_NUM_THREADS", "ENVLOCK_SPOOL", "ENVLOCK_AGAINST")
    (image.root / "own").mkdir()
    (image.root / "own" / "numpy.py").write_text(
        f"import os\n__version__ = ' '.join(os.environ.get(one, '-') for one in {names!r})\n"
    )
    done = image.run(
        "--fingerprint",
        "--determinism",
        "none",
        env={"PYTHONPATH": str(image.root / "own"), "OMP_NUM_THREADS": "3"},
    )
    (numpy,) = json.loads(done.stdout)["frameworks"]
    assert numpy["version"] == "none 3 - -"
    assert numpy["absent"]["numpy.float32.exp"] == "AttributeError"


def test_the_running_record_has_the_fingerprint_already(image: FakeImage) -> None:
    image.describe(packages={"numpy": np.__version__})
    done = image.run("--fingerprint", "--record", "r.json", "cat", "r.json")
    found = record.parse(done.stdout.encode(), "r.json")
    assert found.state == "running"
    assert found.fingerprint is not None
