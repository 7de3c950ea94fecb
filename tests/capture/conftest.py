from pathlib import Path

import pytest

from tests.capture.simulators import DpkgSimulator, MakeElf, Put, build_elf, put_file


@pytest.fixture
def make_elf() -> MakeElf:
    return build_elf


@pytest.fixture
def put() -> Put:
    return put_file


@pytest.fixture
def dpkg(tmp_path: Path) -> DpkgSimulator:
    return DpkgSimulator(tmp_path)
