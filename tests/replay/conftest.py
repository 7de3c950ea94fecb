"""Records as values, and a small image with envlock's real runtime and this machine's Python in it."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from envlock.core.progress import Silent
from envlock.engines import embedded
from envlock.engines.embedded import Embedded
from envlock.host.store import Store
from envlock.oci.reader import open_image
from envlock.replay.run import Places
from envlock.runtime.hostfacts import HostFacts
from envlock.runtime.manifest import Manifest
from envlock.runtime.rank import Rank
from envlock.runtime.record import FileHash, RunRecord
from tests.engines.conftest import ROOT, tree

ENVIRONMENT_ID = "sha256:" + "e" * 64
HOST = HostFacts(
    machine="x86_64",
    kernel="6.1",
    cpu_model="CPU A",
    isa="x86-64-v3",
    cores=2,
    memory=1 << 30,
    driver=None,
    gpus=(),
)

LEFT_OUT = set(
    "site-packages dist-packages test tests idlelib ensurepip __pycache__ tkinter".split()  # noqa: SIM905 - one line
)


def record(**changes: object) -> RunRecord:
    """Return a finished run with one output; ``changes`` replace fields."""
    made = RunRecord(
        run="0123456789abcdef0123456789abcdef",
        state="finished",
        manifest=Manifest(experiment="exp", seed=42, command=("python", "train.py")),
        rank=Rank(0, 1, 0, "none"),
        environment_id=ENVIRONMENT_ID,
        lock_sha256="1" * 64,
        runtime="sha256:" + "2" * 64,
        host=HOST,
        started="2026-01-01T00:00:00.000000Z",
        exit_status=0,
        outputs=(FileHash("out/metrics.json", "a" * 64, 10),),
    )
    return made.replace(**changes)


def image_json() -> bytes:
    """Return what the build writes for the entrypoint (tests/replay need no more of an image)."""
    document = {
        "format": 1,
        "environment-id": ENVIRONMENT_ID,
        "lock-sha256": "1" * 64,
        "runtime": "sha256:" + "2" * 64,
        "env": {"PYTHONHASHSEED": "0"},
        "python": {"version": sys.version.split()[0], "implementation": "cpython"},
        "os": {"id": "test", "version": "1", "machine": os.uname().machine},
        "cpu": {"model": "", "isa": "x86-64-v3", "cores": 1},
        "gpu": {"driver": None, "cuda": None, "devices": []},
        "cuda": [],
        "packages": {},
        "project": None,
        "gaps": [],
    }
    return json.dumps(document).encode()


def python_files() -> Iterator[tuple[str, bytes, int]]:
    """Yield (path, content, mode) of this Python: program, libraries, standard library."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    program = Path(sys.base_prefix, "bin", name).resolve()
    standard = Path(sysconfig.get_path("stdlib"))
    modules = [path for path in sorted(standard.rglob("*")) if not LEFT_OUT & set(path.parts)]
    extensions = [path for path in modules if path.suffix == ".so"]
    yield str(program), program.read_bytes(), 0o755
    listed = subprocess.run(["ldd", program, *extensions], capture_output=True, text=True, check=True).stdout
    for library in set(re.findall(r"(/\S+) \(0x", listed)):
        yield library, Path(library).read_bytes(), 0o755
    for path in modules:
        if path.suffix in (".py", ".so"):
            yield str(path), path.read_bytes(), 0o644
    for path in sorted((ROOT / "envlock" / "runtime").rglob("*.py")):
        yield f"/opt/envlock/runtime/{path.relative_to(ROOT)}", path.read_bytes(), 0o644
    yield "/opt/envlock/runtime/envlock/__init__.py", b"", 0o644
    yield "/opt/envlock/image.json", image_json(), 0o644
    start = (
        f"#!{program} -IS\nimport sys\nsys.path.insert(0, '/opt/envlock/runtime')\n"
        "from envlock.runtime import entrypoint\nentrypoint.main()\n"
    )
    yield "/opt/envlock/bin/envlock-run", start.encode(), 0o755


def write_image(directory: Path) -> Path:
    """Write an OCI layout with one uncompressed layer."""
    files = {path.lstrip("/"): (content, mode) for path, content, mode in python_files()}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, (content, mode) in sorted((tree() | files).items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    kind = "application/vnd.oci.image"

    def add(media_type: str, data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"{kind}.{media_type}", "digest": f"sha256:{digest}", "size": len(data)}

    layer = add("layer.v1.tar", packed.getvalue())
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": ["/opt/envlock/bin/envlock-run"],
            "Env": ["PATH=/bin", "HOME=/tmp", "PYTHONHASHSEED=0"],
            "User": "65532:65532",
            "WorkingDir": "/work",
            "Labels": {"dev.envlock.environment-id": ENVIRONMENT_ID},
        },
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": add("config.v1+json", json.dumps(config).encode()),
        "layers": [layer],
    }
    described = add("manifest.v1+json", json.dumps(manifest).encode())
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_image(tmp_path_factory.mktemp("image") / "layout")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def engine(image: Path, store: Store, namespaces: None) -> Embedded:
    return embedded.prepare(open_image(f"oci:{image}"), store, Silent())


@pytest.fixture
def places(tmp_path: Path) -> Places:
    work = tmp_path / "work"
    work.mkdir()
    return Places(work=work, out=work / "out")
