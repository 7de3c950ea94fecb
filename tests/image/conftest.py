"""A store and a few wheels for each test."""

from pathlib import Path

import pytest

from envlock.host.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")
