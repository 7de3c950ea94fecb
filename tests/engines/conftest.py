"""A tiny image made of this machine's own shell and tools, as an OCI layout."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from envlock.core.progress import Silent
from envlock.engines import docker, embedded
from envlock.engines.docker import Docker
from envlock.engines.embedded import Embedded
from envlock.host.store import Store
from envlock.oci.reader import OpenedImage, open_image
from tests.oci.images import Builder

ROOT = Path(__file__).parents[2]
TOOLS = ("cat", "env", "id", "ls", "mkdir", "readlink", "sh", "sleep", "stat", "touch")
# Becomes the shell, so that the job is process 1 as envlock-run would be.
ENTRY = '#!/bin/sh\nexec /bin/sh -c "$1"\n'
CONFIG = {
    "Entrypoint": ["/bin/entry"],
    "Cmd": ["echo default"],
    "Env": ["PATH=/bin", "HOME=/tmp", "FROM_IMAGE=a 'b'"],
    "User": "worker",
    "WorkingDir": "/work",
    "Labels": {"dev.envlock.environment-id": "sha256:" + "e" * 64},
}
USERS = "root:x:0:0::/:/bin/sh\nworker:x:65532:65533::/tmp:/bin/sh\n"


def tree() -> dict[str, tuple[bytes, int]]:
    """Return path to (content, mode) of the image's files: tools, the libraries they need, entrypoint."""
    files = {"bin/entry": (ENTRY.encode(), 0o755), "etc/passwd": (USERS.encode(), 0o644)}
    for tool in TOOLS:
        program = str(shutil.which(tool))
        files[f"bin/{tool}"] = (Path(program).read_bytes(), 0o755)
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"/\S+", listed):
            files[library.lstrip("/")] = (Path(library).read_bytes(), 0o755)
    return files


def layer() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        # A link where the engine mounts: it must not be followed out of the image.
        link = tarfile.TarInfo("etc/resolv.conf")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        for name in ("work", "out", "tmp"):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(directory)
        for name, (content, mode) in sorted(tree().items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
        archive.addfile(link)
    return packed.getvalue()


def write_layout(directory: Path, *above: bytes) -> Path:
    """Write the image's layout, with more layers (tars) ``above`` its own."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def add(kind: str, data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    layers = (layer(), *above)
    kind = "application/vnd.oci.image"
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "amd64"),
        "os": "linux",
        "config": CONFIG,
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in layers],
        },
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": add(f"{kind}.config.v1+json", json.dumps(config).encode()),
        "layers": [add(f"{kind}.layer.v1.tar+gzip", gzip.compress(one, 1, mtime=0)) for one in layers],
    }
    index = {
        "schemaVersion": 2,
        "manifests": [add(f"{kind}.manifest.v1+json", json.dumps(manifest).encode())],
    }
    (directory / "index.json").write_text(json.dumps(index))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "store")


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_layout(tmp_path_factory.mktemp("tiny") / "layout")


@pytest.fixture(scope="session")
def opened(layout: Path) -> OpenedImage:
    return open_image(f"oci:{layout}")


@contextmanager
def in_docker(image: OpenedImage) -> Iterator[Docker]:
    """Load ``image`` into the Docker engine, and remove it afterwards."""
    with tempfile.TemporaryDirectory() as scratch:
        made = docker.prepare(image, Store(Path(scratch)), Silent())
    yield made
    made.client.images.remove(made.name, force=True)
    made.client.close()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def engine(opened: OpenedImage, store: Store, namespaces: None) -> Embedded:
    return embedded.prepare(opened, store, Silent())


@pytest.fixture
def work(tmp_path: Path) -> Path:
    place = tmp_path / "work"
    place.mkdir()
    return place


@dataclass(frozen=True, slots=True)
class Process:
    """A command line of the engine's in a process of its own, as ``envlock run`` is one."""

    process: "subprocess.Popen[str]"
    work: Path

    def ready(self) -> "Process":
        """Wait for the job to make the file ``ready``."""
        until = time.monotonic() + 20
        while not (self.work / "ready").exists():
            assert self.process.poll() is None, "ended before it was ready"
            assert time.monotonic() < until, "the job never started"
            time.sleep(0.01)
        return self

    def end(self) -> tuple[int, str]:
        """Wait for the end and return exit status and standard output."""
        printed, _ = self.process.communicate(timeout=60)
        return self.process.returncode, printed


PROGRAM = """
import sys
from pathlib import Path
from envlock.core.progress import Silent
from envlock.engines import select
from envlock.engines.engine import Job, Mount
from envlock.host.store import Store
engine, layout, store, work, script = sys.argv[1:]
ready = select.prepare(engine, f"oci:{layout}", Store(Path(store)), Silent())
mounts = (Mount(source=Path(work), target="/work"), Mount(source=Path(work), target="/out"))
sys.exit(ready.run(Job(arguments=(script,), mounts=mounts)))
"""


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Start the engine in a process of its own; ``before`` are words such as ``setpriv …``."""
    running: list[subprocess.Popen[str]] = []

    def begin(
        script: str,
        store: Path,
        layout: Path,
        work: Path,
        *,
        engine: str = "embedded",
        before: tuple[str, ...] = (),
    ) -> Process:
        process = subprocess.Popen(
            [*before, sys.executable, "-c", PROGRAM, engine, layout, store, work, script],
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "HOST_SECRET": "leak"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return Process(process, work)

    yield begin
    for process in running:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def started(start: Callable[..., Process], layout: Path, work: Path) -> Callable[..., Process]:
    """Start a job on the tiny image in the test's own working directory."""
    return lambda script, store, **more: start(script, store, layout, work, **more)
