"""A real lock in the form of other tools: they install what was captured; a bundle builds the same image."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.installing import read_lock
from tests.end_to_end.project import Built
from tests.end_to_end.rebuilding import manifest_digest

pytestmark = [pytest.mark.network, pytest.mark.slow]

LIST = (
    "import importlib.metadata as m, json; "
    "print(json.dumps(sorted((d.metadata['Name'].lower(), d.version) for d in m.distributions())))"
)


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_what_the_requirements_install_is_what_was_captured(
    small: Built, tmp_path: Path, installer: str
) -> None:
    requirements = tmp_path / "requirements.txt"
    small.command.done("export", "--format", "requirements", "-o", requirements)
    subprocess.run([str(small.python), "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    python = tmp_path / "env/bin/python"
    arguments = {
        "pip": ["pip", "--python", python, "install", "--no-deps", "--require-hashes", "-r", requirements],
        "uv": ["uv", "pip", "sync", "--python", python, "--require-hashes", requirements],
    }[installer]
    argv = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(argv, cwd=small.directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = subprocess.run([python, "-c", LIST], capture_output=True, text=True, check=True).stdout
    locked = [[one.name, one.version] for one in read_lock(small.lock).packages]
    assert json.loads(found) == locked


def test_a_bundle_builds_the_same_image_with_nothing_else_at_hand(small: Built, tmp_path: Path) -> None:
    bundle = tmp_path / "small.bundle"
    small.command.done("export", "--bundle", bundle, "--all-wheels")
    near = tmp_path / "near.tar"
    small.command.done("build", "--no-bytecode", "-o", f"oci-archive:{near}")
    (tmp_path / "far").mkdir()
    far = small.command.moved(tmp_path / "far").having(ENVLOCK_CACHE=str(tmp_path / "store"))
    far.done("build", "--no-bytecode", "--offline", "--from", bundle, "-o", "oci-archive:image.tar")
    assert manifest_digest(tmp_path / "far/image.tar") == manifest_digest(near)
