"""An image's files with this very interpreter in them, its standard library, a dpkg database and a venv.

No shell is in it: whatever else than the interpreter were started would be noticed.
"""

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from envlock.engines.configuration import ImageConfiguration
from tests.capture.simulators import DpkgSimulator

_WITHOUT = (
    "__pycache__",
    "dist-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "site-packages",
    "test",
    "tests",
)
MINOR = f"python{sys.version_info[0]}.{sys.version_info[1]}"
SITE = f"opt/venv/lib/{MINOR}/site-packages"
EXECUTABLE = Path(sys.executable).resolve()
METADATA = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True, slots=True)
class PythonRoot:
    """The directory, and what its image's config would say."""

    directory: Path
    configuration: ImageConfiguration

    def put(self, name: str, text: str) -> Path:
        """Write a file of the image."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


def made(directory: Path, guests: Iterable[Path] = ()) -> PythonRoot:
    """Make the root in ``directory``. The interpreter has the path that it has on this machine.

    The libraries of ``guests``, extension modules that will be mounted into it, are there too.
    """
    standard = Path(sysconfig.get_path("stdlib")).resolve()
    shutil.copytree(
        standard, directory / standard.relative_to("/"), ignore=shutil.ignore_patterns(*_WITHOUT, "config-*")
    )
    libraries = _needed(EXECUTABLE, *sorted((standard / "lib-dynload").glob("*.so")), *guests)
    for file in {EXECUTABLE, *libraries}:
        place = directory / file.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    for name in ("dev", "etc", "out", "proc", "run", "sys", "tmp", "work"):
        (directory / name).mkdir(exist_ok=True)
    for name in ("etc/hosts", "etc/resolv.conf"):
        (directory / name).touch()
    root = PythonRoot(
        directory,
        ImageConfiguration(
            environment=(("PATH", "/opt/venv/bin"), ("OMP_NUM_THREADS", "3"), ("API_TOKEN", "hunter2"))
        ),
    )
    _fill(root)
    return root


def archived(root: PythonRoot, file: Path, platform: str) -> Path:
    """Write the root as ``docker save`` writes an image of one layer."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(root.directory, ".")
    system, _, architecture = platform.partition("/")
    variables = [f"{name}={value}" for name, value in root.configuration.environment]
    config = {
        "architecture": architecture,
        "os": system,
        "config": {"Env": variables, "Cmd": ["python3"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()]},
    }
    document = json.dumps(config).encode()
    name = hashlib.sha256(document).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": None, "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(file, "w") as tar:
        for path, data in ((name, document), ("layer.tar", layer.getvalue()), ("manifest.json", manifest)):
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return file


def _fill(root: PythonRoot) -> None:
    root.put("etc/os-release", "ID=simulated\nVERSION_ID=1\n")
    root.put("opt/venv/pyvenv.cfg", f"home = {EXECUTABLE.parent}\ninclude-system-site-packages = false\n")
    (root.directory / "opt/venv/bin").mkdir()
    (root.directory / "opt/venv/bin/python3").symlink_to(EXECUTABLE)
    record = (
        "demo.py,,\ndemo-1.0.dist-info/METADATA,,\ndemo-1.0.dist-info/WHEEL,,\ndemo-1.0.dist-info/RECORD,,\n"
    )
    # As uv's symlink mode installs: a link by an absolute path, which means a file of the image.
    root.put("srv/demo.py", "value = 1\n")
    place = root.put(f"{SITE}/demo-1.0.dist-info/RECORD", record).parents[1]
    (place / "demo.py").symlink_to("/srv/demo.py")
    root.put(f"{SITE}/demo-1.0.dist-info/METADATA", METADATA)
    root.put(f"{SITE}/demo-1.0.dist-info/WHEEL", WHEEL)
    DpkgSimulator(root.directory)


def _needed(*programs: Path) -> set[Path]:
    """Return the libraries that the loader finds for ``programs``, by the paths that it looks for."""
    listed = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=True).stdout
    return {Path(path) for path in re.findall(r"(?m)^\t(?:\S+ => )?(/\S+) ", listed)}
