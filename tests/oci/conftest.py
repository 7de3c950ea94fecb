"""A builder of small images for each test."""

from pathlib import Path

import pytest

from tests.oci.images import Builder


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "store")
