"""A disk that is full wherever a build writes: one message, exit status 4, nothing half-written."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from envlock.oci.extraction import RootFilesystem
from envlock.runtime.errors import UnreachableError
from tests.image import lock_project
from tests.image.lock_project import LockProject

pytestmark = pytest.mark.slow

_MODULES = 40
Disk = Callable[[int], Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> LockProject:
    return lock_project.large(tmp_path_factory.mktemp("full"), _MODULES)


@pytest.fixture(scope="module")
def warm(made: LockProject) -> Path:
    """A store in which everything was built once; the project's own holds only what a build is given."""
    store = Path(shutil.copytree(made.store.root, made.root / "warm"))
    digest(made, store)
    return store


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Make a file system of so many bytes; made again, it grows."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    with ExitStack() as stack:

        def mounted(size: int) -> Path:
            again = place.is_mount()
            options = f"{'remount,' if again else ''}size={size}"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
            if not again:
                stack.callback(lambda: subprocess.run(["umount", place], check=True))
            return place

        yield mounted


def size(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def refused(done: "subprocess.CompletedProcess[str]") -> None:
    assert done.returncode == 4, done.stderr
    # Not at the start: the coverage of a process that ends early has a warning to give.
    assert "envlock: no space left on the disk: " in done.stderr
    assert "\nhint: free some space" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker-archive"])
@pytest.mark.parametrize("room", [20 << 10, 9 << 20])
def test_a_full_disk_below_the_output_leaves_nothing_of_it(
    made: LockProject, warm: Path, disk: Disk, kind: str, room: int
) -> None:
    place = disk(room)
    refused(made.build("-q", "-o", f"{kind}:{place}/image", store=warm))
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("room", [20 << 10, 9 << 20])
def test_a_full_disk_below_a_bundle_leaves_nothing_of_it(
    made: LockProject, warm: Path, disk: Disk, room: int
) -> None:
    place = disk(room)
    argv = [sys.executable, "-m", "envlock", "export", "-q", "--offline", "--bundle", str(place / "x.bundle")]
    refused(
        subprocess.run(
            argv, cwd=made.directory, env=made.environ(warm), capture_output=True, text=True, check=False
        )
    )
    assert list(place.iterdir()) == []


def test_a_full_disk_below_an_unpacked_layer_is_named(disk: Disk) -> None:
    tree = RootFilesystem(disk(1 << 20) / "root")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        member = tarfile.TarInfo("large")
        member.size = 2 << 20
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    layer.seek(0)
    with pytest.raises(UnreachableError, match=r"no space left on the disk: .*/disk/root"):
        tree.apply(layer, "layer")


@pytest.mark.parametrize("room", [1 << 20, 30 << 20, 60 << 20, 90 << 20])
def test_a_full_disk_below_the_store_does_not_mislead_the_next_build(
    made: LockProject, warm: Path, disk: Disk, room: int
) -> None:
    """What meets the end is a layer, the unpacked interpreter, bytecode, or the second build of --verify."""
    place = disk(size(made.store.root) + room)
    store = Path(shutil.copytree(made.store.root, place / "store"))
    refused(made.build("-q", "--verify", "-o", "oci-archive:full.tar", store=store))
    assert not (made.directory / "full.tar").exists()
    disk(1 << 30)
    assert digest(made, store) == digest(made, warm)


def digest(made: LockProject, store: Path) -> str:
    done = made.build("-q", "-o", "oci-archive:right.tar", store=store)
    assert done.returncode == 0, done.stderr
    return hashlib.sha256((made.directory / "right.tar").read_bytes()).hexdigest()
