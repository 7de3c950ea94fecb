"""docs/image.md: the same lock, the same image, whatever the machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from envlock.host.files import file_digest
from envlock.host.store import Store
from envlock.oci.reader import open_image
from envlock.oci.validate import validate
from tests.image import fixture_lock

ROOT = Path(__file__).parents[2]
LAYERS = (
    "a37b4b2492f81815",
    "040893e09c151342",
    "179203e2cea61f34",
    "a41d232fdb71c225",
    "e5637ee80fc377f7",
)


def test_the_layers_of_a_small_image_are_pinned(tmp_path: Path) -> None:
    """Golden: a change here breaks every user's digests and must change ``dev.envlock.format``."""
    image = fixture_lock.build(tmp_path, Store(tmp_path / "store"))
    assert tuple(layer.blob.hex[:16] for layer in image.layers) == LAYERS


def test_the_manifest_of_a_small_image_is_pinned(tmp_path: Path) -> None:
    """Golden: when only this changes, the config did (its variables come from the determinism rules)."""
    image = fixture_lock.build(tmp_path, Store(tmp_path / "store"))
    assert str(image.digest) == "sha256:ddd05b40a4a82ac3224a5f433334a34ead89f606fd7ff58e8d663caa8ca7d212"


def test_two_builds_under_other_conditions_are_the_same_to_the_byte(tmp_path: Path) -> None:
    conditions = [
        ({"TZ": "Asia/Kolkata", "LANG": "C", "PYTHONHASHSEED": "1", "HOME": "/nonexistent"}, "022", "/"),
        (
            {"TZ": "America/St_Johns", "LANG": "C.UTF-8", "PYTHONHASHSEED": "77", "HOME": "/"},
            "077",
            str(tmp_path),
        ),
    ]
    digests = set()
    for number, (environment, umask, cwd) in enumerate(conditions):
        place = tmp_path / f"place-{number}"
        place.mkdir()
        code = (
            "import os, pathlib, sys\n"
            f"os.umask(0o{umask})\n"
            f"sys.path.insert(0, {str(ROOT)!r})\n"
            "from tests.image.fixture_lock import build_archive\n"
            f"build_archive(pathlib.Path({str(place)!r}))\n"
        )
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **environment}, cwd=cwd, check=True, timeout=120
        )
        digests.add(file_digest(place / "image.tar"))
        assert validate(open_image(str(place / "image.tar"))) == ()
    assert len(digests) == 1


@pytest.mark.parametrize("python", ["3.10", "3.12", "3.13"])
def test_layers_do_not_depend_on_the_python_that_builds(tmp_path: Path, python: str) -> None:
    """The writer needs nothing but envlock.oci, so any Python can be asked without installing."""
    found = next(Path("~/.pyenv/versions").expanduser().glob(f"{python}.*/bin/python"), None)
    if found is None:
        pytest.skip(f"no Python {python}")
    code = (
        "import io, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from envlock.host.store import HashingWriter\n"
        "from envlock.oci.layer import Entry, write_layer\n"
        "from envlock.oci.path import ImagePath\n"
        "paths = [ImagePath(f'/é/{n}') for n in range(200)]\n"
        "entries = [Entry(path=p, mode=0o644, content=bytes([n]) * n * 999) for n, p in enumerate(paths)]\n"
        "print(write_layer(entries, HashingWriter(io.BytesIO())).blob)\n"
    )
    argv = [[str(found), "-c", code], [sys.executable, "-c", code]]
    outputs = {subprocess.run(one, check=True, capture_output=True).stdout for one in argv}
    assert len(outputs) == 1
