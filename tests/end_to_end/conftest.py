"""Environments that are captured and built once for all tests that only read them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.project import Built, build_first


@pytest.fixture(scope="session")
def small_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a small environment; ENVLOCK_TEST_SMALL_PYTHON names one that is there already."""
    named = os.environ.get("ENVLOCK_TEST_SMALL_PYTHON")
    if named:
        return Path(named)
    prefix = tmp_path_factory.mktemp("small") / "env"
    subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
    install = [str(prefix / "bin/python"), "-m", "pip", "install", "-qq", "--only-binary=:all:"]
    subprocess.run([*install, "numpy", "scikit-learn"], check=True)
    return prefix / "bin/python"


@pytest.fixture(scope="session")
def small(small_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The small environment, captured and built once for all tests that only read it."""
    root = tmp_path_factory.mktemp("small-built")
    return build_first(root / "project", small_python, root / "store")


@pytest.fixture(scope="session")
def frameworks(frameworks_python: str, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The environment with torch and TensorFlow, captured and built once."""
    root = tmp_path_factory.mktemp("frameworks-built")
    return build_first(root / "project", Path(frameworks_python), root / "store")
