"""One lock, the same bytes: whatever the directory, umask, time zone, locale, hash seed and cache.

docs/image.md, "Reproducible". The archive is compared byte for byte, the manifest's digest by a second
reader (skopeo) where there is one.
"""

import json
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.project import Built
from tests.end_to_end.rebuilding import CONDITIONS, file_digest, manifest_digest, rebuilt

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_archive_is_the_same_byte_for_byte(small: Built, tmp_path: Path, name: str) -> None:
    again = rebuilt(small, tmp_path, CONDITIONS[name])
    assert manifest_digest(again) == manifest_digest(small.archive)
    assert file_digest(again) == file_digest(small.archive)


def test_every_output_has_the_same_manifest(small: Built, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    shown = json.loads(small.command.done("build", "-o", f"oci:{layout}", "--json"))
    (manifest,) = json.loads((layout / "index.json").read_text())["manifests"]
    assert manifest["digest"] == manifest_digest(small.archive)
    assert manifest["digest"] in json.dumps(shown)


def test_skopeo_reads_the_archive(small: Built, skopeo: str) -> None:
    done = subprocess.run(
        [skopeo, "inspect", f"oci-archive:{small.archive}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    inspected = json.loads(done.stdout)
    assert inspected["Digest"] == manifest_digest(small.archive)
    assert "dev.envlock.environment-id" in inspected["Labels"]
    assert inspected["Os"] == "linux"


def test_a_plan_writes_nothing(small: Built, tmp_path: Path) -> None:
    directory = small.copied(tmp_path / "planned")
    before = sorted(path.name for path in directory.rglob("*"))
    command = small.command.moved(directory).having(ENVLOCK_CACHE=str(tmp_path / "store"))
    planned = command.done("build", "--plan")
    assert "numpy" in planned
    assert sorted(path.name for path in directory.rglob("*")) == before
