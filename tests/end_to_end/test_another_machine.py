"""docs/image.md, "Reproducible": another distribution, Python, zlib, user and directory, the same image."""

import json
import os
import shutil
from pathlib import Path

import pytest

from envlock.host.store import Store
from envlock.lock import file
from tests.conftest import require
from tests.end_to_end import another_machine
from tests.end_to_end.another_machine import ROOT, AnotherMachine
from tests.end_to_end.project import LOCK, Built
from tests.end_to_end.rebuilding import file_digest, manifest_digest

pytestmark = [pytest.mark.network, pytest.mark.slow]

_GOLDEN = """\
import json, os, pathlib, sys, zlib
assert sys.version_info[:2] == (3, 13), sys.version
if "zlib-ng" in sys.argv:
    from zlib_ng import zlib_ng
    assert zlib_ng.compress(bytes(range(256)) * 99) != zlib.compress(bytes(range(256)) * 99)
    sys.modules["zlib"] = zlib_ng
else:
    sys.modules["zlib_ng"] = None
sys.path.append("/srv/work")
from envlock.host.store import Store
from tests.image import fixture_lock
import envlock
assert envlock.__file__.startswith("/opt/envlock/"), envlock.__file__
place = pathlib.Path(sys.argv[1])
place.mkdir()
image = fixture_lock.build(place, Store(place / "store"))
print(json.dumps({"layers": [str(layer.blob) for layer in image.layers], "manifest": str(image.digest)}))
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> AnotherMachine:
    can = shutil.which("mmdebstrap") is not None and os.geteuid() == 0
    require(None if can else "another machine needs mmdebstrap and root")
    made = another_machine.make(tmp_path_factory.mktemp("machine"))
    another_machine.lend(made, ROOT / "tests/image", "tests/image")
    return made


@pytest.mark.parametrize("zlib", ["zlib", "zlib-ng"])
def test_the_pinned_digests_are_built_there(machine: AnotherMachine, zlib: str) -> None:
    made = json.loads(machine.python("-c", _GOLDEN, f"built-with-{zlib}", zlib))
    assert made == json.loads((ROOT / "tests/image/golden/image.json").read_bytes())


def test_a_captured_lock_gives_the_same_archive_there(
    machine: AnotherMachine, small: Built, tmp_path: Path
) -> None:
    """With its host base, whose interpreter compiles the bytecode there too."""
    directory = small.copied(tmp_path / "captured")
    lock = file.read(directory / LOCK)
    here, there = Store(Path(dict(small.command.variables)["ENVLOCK_CACHE"])), Store(directory / "store")
    for package in lock.packages:
        wheel = package.wheel
        if wheel.path is None:
            there.add_file(here.path(wheel.sha256), wheel.sha256)
    place = another_machine.lend(machine, directory, "captured")
    machine.python(
        *("-m", "envlock", "build", "--offline", f"{place}/{LOCK}", "-o", f"oci-archive:{place}/again.tar"),
        ENVLOCK_CACHE=f"{place}/store",
    )
    again = machine.home / "captured/again.tar"
    assert manifest_digest(again) == manifest_digest(small.archive)
    assert file_digest(again) == file_digest(small.archive)
