"""containerd takes an image from a file; and starts one from a registry before it is there, with stargz."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import go_program, require
from tests.end_to_end.project import Built
from tests.registry import real
from tests.registry.real import RealRegistry

pytestmark = pytest.mark.slow

PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr-remote", "docker-registry", "fusermount", "runc")
_FETCHED = re.compile(rb'"GET \S+/blobs/\S+ HTTP/1\.1" (\d+) (\d+) ')
CONFIGURATION = """
version = 2
root = "{0}/root"
state = "{0}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{0}/containerd.sock"
[proxy_plugins.stargz]
  type = "snapshot"
  address = "{0}/stargz.sock"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Containerd:
    """A containerd of one's own, with the snapshotter beside it."""

    directory: Path

    def ctr(self, *arguments: str) -> str:
        """Run the client that asks for lazy pulling."""
        argv = ["ctr-remote", "--address", str(self.directory / "containerd.sock"), *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr + (self.directory / "log").read_text()[-3000:]
        return done.stdout

    def run(self, image: str, *options: str) -> str:
        """Return what a job in a container of ``image`` says."""
        program = "import numpy; print(numpy.arange(4).sum())"
        job = ["/opt/envlock/bin/envlock-run", "--seed", "1", "--", "python", "-c", program]
        return self.ctr("run", "--rm", *options, image, "one", *job).strip()


@pytest.fixture(scope="module")
def snapshotter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program stargz/snapshotter.go, of Debian's packages of stargz-snapshotter."""
    if not Path("/dev/fuse").exists():
        pytest.skip("this kernel or container gives no FUSE, which nothing can install")
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    is_ready = os.geteuid() == 0 and not lacking
    require(None if is_ready else f"a lazy start needs root and programs; lacking: {lacking}")
    return go_program(Path(__file__).parent / "stargz/snapshotter.go", tmp_path_factory.mktemp("stargz"))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    with real.running(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def containerd(snapshotter: Path) -> Iterator[Containerd]:
    # A short path: a Unix socket's name holds 107 bytes at most.
    directory = Path(tempfile.mkdtemp(dir="/var/tmp"))
    (directory / "config.toml").write_text(CONFIGURATION.format(directory))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        log = stack.enter_context((directory / "log").open("wb"))
        stack.enter_context(
            serving([str(snapshotter), f"{directory}/snapshots", f"{directory}/stargz.sock"], log.fileno())
        )
        stack.callback(_unmount, directory)
        stack.enter_context(serving(["containerd", "--config", f"{directory}/config.toml"], log.fileno()))
        _wait(directory / "containerd.sock", directory / "stargz.sock")
        yield Containerd(directory=directory)


@contextmanager
def serving(argv: list[str], log: int) -> Iterator[None]:
    process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _wait(*sockets: Path) -> None:
    deadline = time.monotonic() + 60
    while not all(socket.exists() for socket in sockets):
        assert time.monotonic() < deadline, "containerd does not answer"
        time.sleep(0.05)


def _unmount(directory: Path) -> None:
    """Take away what the snapshotter mounted, which its end alone does not."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in reversed([one for one in points if one.startswith(f"{directory}/")]):
        subprocess.run(["umount", "--lazy", point], check=True)


def fetched(registry: RealRegistry) -> tuple[int, int]:
    """Return the bytes of blobs that were fetched by ranges, and of those that were fetched whole."""
    answers = _FETCHED.findall((registry.directory / "log").read_bytes())
    ranges, whole = (
        sum(int(size) for status, size in answers if status == wanted) for wanted in (b"206", b"200")
    )
    return ranges, whole


def test_an_archive_is_imported_and_runs(small: Built, containerd: Containerd) -> None:
    containerd.ctr("images", "import", "--base-name", "team/exp", "--digests", str(small.archive))
    (image,) = containerd.ctr("images", "ls", "--quiet").split()
    assert containerd.run(image) == "6"


def test_a_container_starts_before_its_image_is_there(
    small: Built, registry: RealRegistry, containerd: Containerd
) -> None:
    name = f"{registry.host}/team/exp:1"
    small.command.done("build", "-q", "-o", f"registry:{name}")
    blobs = registry.directory / "docker/registry/v2/blobs"
    size = sum(path.stat().st_size for path in blobs.rglob("data"))
    containerd.ctr("images", "rpull", "--plain-http", "--snapshotter", "stargz", name)
    pulled, whole = fetched(registry)
    assert whole < 50_000  # the image's config: no layer
    assert pulled < size / 15
    assert containerd.run(name, "--snapshotter", "stargz") == "6"
    ranges, whole_after = fetched(registry)
    # The interpreter and NumPy came; SciPy and scikit-learn did not.
    assert whole_after == whole
    assert ranges < size / 2
