"""The captured lock: valid, stable and installable by others."""

import dataclasses
import sys
from pathlib import Path

import pytest
from packaging.pylock import Pylock, is_valid_pylock_path

from tests.end_to_end.installing import installs_the_same
from tests.end_to_end.project import LOCK, Built

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = [pytest.mark.network, pytest.mark.slow]


def test_the_lock_is_a_valid_pep_751_lockfile(small: Built) -> None:
    parsed = Pylock.from_dict(tomllib.loads(small.lock.read_text()))
    parsed.validate()
    assert is_valid_pylock_path(small.lock)
    names = {package.name for package in parsed.packages}
    assert {"numpy", "scikit-learn", "scipy"} <= names
    assert "envlock" not in names
    for package in parsed.packages:
        (wheel,) = package.wheels or ()
        assert set(wheel.hashes) == {"sha256"}
        assert wheel.size


def test_capturing_twice_gives_the_same_bytes(small: Built, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    small.copied(elsewhere)
    # What a job may depend on is captured (PYTHONHASHSEED, LANG); what it may not is left to differ.
    command = dataclasses.replace(small.command, cwd=elsewhere, umask=0o077).having(USER="other", TERM="dumb")
    command.done("capture", "--python", small.python, "--project", small.directory, "-o", "pylock.again.toml")
    assert (elsewhere / "pylock.again.toml").read_bytes() == small.lock.read_bytes()


def test_a_name_that_pip_would_refuse_is_a_usage_error(small: Built) -> None:
    refused = small.command.run("capture", "--python", small.python, "-o", "lock.toml")
    assert refused.returncode == 2
    assert "hint:" in refused.stderr or "Error" in refused.stderr
    assert not (small.directory / "lock.toml").exists()


def test_the_environment_still_matches_its_own_lock(small: Built) -> None:
    small.command.done("check", LOCK, "--python", small.python)
    small.command.done("diff", LOCK, LOCK)


def test_another_environment_has_drifted(small: Built) -> None:
    drifted = small.command.run("check", LOCK, "--python", sys.executable)
    assert drifted.returncode == 1
    assert "scikit-learn" in drifted.stdout


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_what_the_lock_installs_is_what_was_captured(small: Built, tmp_path: Path, installer: str) -> None:
    installs_the_same(small, tmp_path, installer)


@pytest.mark.usefixtures("namespaces")
def test_the_lock_of_the_image_is_the_lock_that_it_was_built_from(small: Built, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = small.command.moved(elsewhere)
    command.done("capture", "--from", small.archive, "--project", small.directory)
    assert (elsewhere / LOCK).read_text() == small.lock.read_text()
