"""docs/image.md: the same lock, the same image, whatever the machine."""

import importlib.util
import os
import subprocess
import sys
import sysconfig
import zlib
from pathlib import Path

import pytest

from envlock.core.digest import Digest
from envlock.host.files import file_digest
from envlock.host.store import Store
from envlock.oci.reader import open_image
from envlock.oci.validate import validate
from tests.conftest import IN_CI
from tests.golden import pinned_json
from tests.image import fixture_lock

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden/image.json"


def test_the_digests_of_a_small_image_are_pinned(tmp_path: Path) -> None:
    """Other layers break every user's digests and must change ``dev.envlock.format``.

    When only the manifest changes, the config did: its variables come from the determinism rules, and the
    runtime's digest is a label.
    """
    image = fixture_lock.build(tmp_path, Store(tmp_path / "store"))
    layers = [str(layer.blob) for layer in image.layers]
    pinned_json(GOLDEN, {"layers": layers, "manifest": str(image.digest)})


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


_BUILD = """\
import os, pathlib, sys
{first}
# The test's own libraries come last: they are only there for a Python that has none.
sys.path[:0] = [{root!r}]
sys.path.append({site!r})
from tests.image.fixture_lock import build_archive
build_archive(pathlib.Path({place!r}))
"""


def _archive(place: Path, python: Path, *, first: str = "") -> Digest:
    """Build the fixture with ``python``, after it ran ``first``; return the archive's digest."""
    place.mkdir()
    site = sysconfig.get_paths()["purelib"]
    code = _BUILD.format(first=first, root=str(ROOT), site=site, place=str(place))
    done = subprocess.run(
        [str(python), "-c", code], cwd=place, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return file_digest(place / "image.tar")


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "of the system"])
def test_an_image_does_not_depend_on_the_python_that_builds(tmp_path: Path, python: str) -> None:
    """Each has a zlib, a zipfile and hash tables of its own. 3.10 would need tomli."""
    versions = Path("~/.pyenv/versions").expanduser()
    found = next(versions.glob(f"{python}.*/bin/python"), None)
    if python == "of the system":
        found = next((one for one in [Path("/usr/bin/python3")] if one.exists()), None)
    if found is None:
        pytest.skip(f"no Python {python}")
    assert _archive(tmp_path / "there", found) == _archive(tmp_path / "here", Path(sys.executable))


def test_an_image_does_not_depend_on_the_zlib(tmp_path: Path) -> None:
    """zlib-ng compresses otherwise: what it makes differs, and no image has any of it."""
    if importlib.util.find_spec("zlib_ng") is None and not IN_CI:
        pytest.skip("zlib-ng is not installed")
    zlib_ng = importlib.import_module("zlib_ng.zlib_ng")
    assert zlib_ng.compress(bytes(range(256)) * 99) != zlib.compress(bytes(range(256)) * 99)
    replaced = "from zlib_ng import zlib_ng; sys.modules['zlib'] = zlib_ng"
    first = f"sys.path.append({sysconfig.get_paths()['platlib']!r}); {replaced}"
    here = Path(sys.executable)
    assert _archive(tmp_path / "ng", here, first=first) == _archive(tmp_path / "plain", here)


def test_an_image_does_not_depend_on_the_number_of_cores(tmp_path: Path) -> None:
    here = Path(sys.executable)
    one = _archive(tmp_path / "one", here, first="os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})")
    assert one == _archive(tmp_path / "all", here)


def test_an_image_does_not_depend_on_the_user(public_directory: Path) -> None:
    """Root only: another user, without a name and a home."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    public_directory.chmod(0o777)
    here = Path(sys.executable)
    # Interpreter and sources may lie where nobody else looks: a build before has imported all.
    first = (
        f"sys.path.insert(0, {str(ROOT)!r}); from tests.image.fixture_lock import build_archive; "
        "os.mkdir('warm'); build_archive(pathlib.Path('warm')); "
        "os.chmod('.', 0o777); os.setgid(65534); os.setuid(65534)"
    )
    assert _archive(public_directory / "a", here, first=first) == _archive(public_directory / "b", here)
