"""Programs that envlock did not write take its images, and see in them what pip would have installed.

The environment is made of hand-made wheels, so no index is needed. skopeo, umoci and podman each read the
layout by code of their own; pip installs the same wheels beside it.
"""

import csv
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import IN_CI
from tests.image import lock_project
from tests.image.interpreter_base import MINOR
from tests.image.lock_project import LockProject
from tests.image.wheels import Item, wheel_items, write_wheel
from tests.registry import real

pytestmark = pytest.mark.slow

SITE = f"lib/python{MINOR}/site-packages"
TAG = "docker-archive"
# What pip writes of itself, and envlock does not; and the other way round.
_PIPS = {"REQUESTED", "direct_url.json"}


def wheels() -> list[tuple[str, list[Item]]]:
    """One of each thing that installing treats in its own way."""
    files = {
        "demo/__init__.py": b"def main():\n    print('hello')\n",
        "demo/data/données.txt": b"d\n",
        "demo/tool.sh": b"#!/bin/sh\n",
        "demo-1.0.data/scripts/run-demo": b"#!python\nprint('script')\n",
        "demo-1.0.data/scripts/plain": b"#!/bin/sh\necho plain\n",
        "demo-1.0.data/data/share/demo/notes.txt": b"n\n",
        "demo-1.0.data/headers/demo.h": b"#define DEMO 1\n",
        "demo-1.0.data/purelib/pure.py": b"x = 1\n",
    }
    # As wheel builders write them: without the bit, pip leaves a script as it is and envlock sets it.
    executable = ("demo/tool.sh", "demo-1.0.data/scripts/run-demo", "demo-1.0.data/scripts/plain")
    points = "[console_scripts]\ndemo = demo:main\n\n[gui_scripts]\ndemo-window = demo:main\n"
    demo = wheel_items("demo", "1.0", files, entry_points=points, executable=executable)
    return [("demo", demo), ("other", wheel_items("other", "1.0", {"other.py": b"y = 2\n"}, purelib=False))]


@dataclass(frozen=True, kw_only=True)
class Made:
    """The project, its image as a layout, and what the layout says of it."""

    project: LockProject
    layout: Path

    def manifest(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.layout / "index.json").read_text())["manifests"][0]
        return found

    def config_digest(self) -> str:
        digest = self.manifest()["digest"].removeprefix("sha256:")
        manifest = json.loads((self.layout / "blobs/sha256" / digest).read_text())
        return str(manifest["config"]["digest"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    project = lock_project.make(tmp_path_factory.mktemp("validated"), *wheels())
    done = project.build("-q", "-t", "demo:1", "-o", "oci:layout", "-o", "docker-archive:image.tar")
    assert done.returncode == 0, done.stderr
    return Made(project=project, layout=project.directory / "layout")


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None and IN_CI:
        pytest.fail(f"{name} is not installed", pytrace=False)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def ran(*argv: str | Path, **environ: str) -> str:
    done = subprocess.run(
        [str(one) for one in argv],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


def copied(*arguments: str | Path) -> None:
    ran(program("skopeo"), "--insecure-policy", "copy", "--quiet", *arguments)


def digest_of(reference: str, *arguments: str) -> str:
    shown = json.loads(ran(program("skopeo"), "inspect", *arguments, reference))
    return str(shown["Digest"])


def config_of(reference: str, *arguments: str) -> object:
    shown: object = json.loads(ran(program("skopeo"), "inspect", "--config", *arguments, reference))
    return shown


def test_skopeo_copies_the_layout_and_the_archive_without_changing_a_byte(made: Made, tmp_path: Path) -> None:
    archive = made.project.directory / "image.tar"
    copied(f"oci:{made.layout}:1", f"oci:{tmp_path / 'from-layout'}:1")
    copied(f"oci-archive:{archive}:1", f"oci:{tmp_path / 'from-archive'}:1")
    copied(f"oci:{made.layout}:1", f"oci-archive:{tmp_path / 'copy.tar'}:1")
    for reference in ("oci:from-layout", "oci:from-archive", "oci-archive:copy.tar"):
        kind, _, name = reference.partition(":")
        assert digest_of(f"{kind}:{tmp_path / name}:1") == made.manifest()["digest"]


def test_skopeo_makes_a_docker_archive_and_reads_ours_with_the_same_config(
    made: Made, tmp_path: Path
) -> None:
    ours = config_of(f"docker-archive:{made.project.directory / 'image.tar'}")
    copied(f"oci:{made.layout}:1", f"docker-archive:{tmp_path / 'theirs.tar'}:1")
    assert config_of(f"docker-archive:{tmp_path / 'theirs.tar'}") == ours
    assert config_of(f"oci:{made.layout}:1") == ours


def test_skopeo_carries_it_to_a_registry_and_back(made: Made, tmp_path: Path) -> None:
    if real.PROGRAM is None:
        program("docker-registry")
    with real.running(tmp_path / "registry") as registry:
        reference = f"docker://{registry.host}/demo:1"
        copied("--dest-tls-verify=false", f"oci:{made.layout}:1", reference)
        assert digest_of(reference, "--tls-verify=false") == made.manifest()["digest"]
        copied("--src-tls-verify=false", reference, f"oci:{tmp_path / 'back'}:1")
        assert digest_of(f"oci:{tmp_path / 'back'}:1") == made.manifest()["digest"]
        # What skopeo pushed is the image that envlock pushes: all is there already.
        pushed = made.project.build("-o", f"registry:{registry.host}/demo:2")
        assert pushed.returncode == 0, pushed.stderr
        assert (
            digest_of(f"docker://{registry.host}/demo:2", "--tls-verify=false") == made.manifest()["digest"]
        )


@pytest.mark.docker
def test_skopeo_loads_it_into_docker_as_docker_load_does(made: Made, docker_host: str) -> None:
    copied("--dest-daemon-host", docker_host, f"oci:{made.layout}:1", "docker-daemon:envlock-skopeo:1")
    ran("docker", "load", "-q", "-i", made.project.directory / "image.tar")
    try:
        shown = ran("docker", "image", "inspect", "--format", "{{.Id}}", "envlock-skopeo:1", "demo:1")
        assert shown.split() == [made.config_digest()] * 2
        assert ran("docker", "run", "--rm", "demo:1", "--seed", "1", "--", "demo") == "hello\n"
    finally:
        ran("docker", "rmi", "-f", "envlock-skopeo:1", "demo:1")


@pytest.fixture
def user(public_directory: Path) -> Iterator[tuple[str, ...]]:
    """An ordinary user with a range of subordinate IDs: what starts a program as that user."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a user")
    program("newuidmap")
    name = f"envlock-{os.getpid()}"
    ran("useradd", "--no-create-home", "--home-dir", public_directory, name)
    shutil.chown(public_directory, name)
    become = program("setpriv"), f"--reuid={name}", f"--regid={name}", "--clear-groups"
    yield "env", f"--chdir={public_directory}", *become
    ran("userdel", name)


def test_podman_loads_and_runs_it(made: Made, public_directory: Path) -> None:
    """Podman as root on a machine without systemd: runc, and limits that the machine allows."""
    if os.geteuid() != 0:
        pytest.skip("podman as root")
    podman_runs(made.project.directory / "image.tar", public_directory, made.config_digest())


def test_podman_without_root_loads_and_runs_it(
    made: Made, public_directory: Path, user: tuple[str, ...]
) -> None:
    archive = Path(shutil.copy(made.project.directory / "image.tar", public_directory))
    archive.chmod(0o644)
    podman_runs(archive, public_directory, made.config_digest(), user)


def podman_runs(archive: Path, directory: Path, config_digest: str, user: tuple[str, ...] = ()) -> None:
    # A short path: podman refuses a longer one than 50 characters.
    places = ("--root", directory / "r", "--runroot", directory / "n")
    settings = ("--storage-driver", "vfs", "--cgroup-manager", "cgroupfs")
    podman = (*user, program("podman"), *map(str, places), "--runtime", program("runc"), *settings)
    at = {"HOME": str(directory), "XDG_RUNTIME_DIR": str(directory)}
    ran(*podman, "load", "-q", "-i", archive, **at)
    try:
        shown = ran(*podman, "image", "inspect", "--format", "{{.Id}}", "demo:1", **at)
        assert shown.strip() == config_digest.removeprefix("sha256:")
        limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
        job = ("--network", "none", *limits, "demo:1", "--seed", "1", "--", "demo")
        assert ran(*podman, "run", "--rm", *job, **at) == "hello\n"
    finally:
        ran(*podman, "rmi", "--all", "--force", **at)
        if user:
            # Files belong to the user's subordinates, and a process keeps the namespace in which they do.
            ran(*podman, "unshare", "rm", "-rf", directory / "r", directory / "n", **at)
            ran(*podman, "system", "migrate", **at)


@pytest.fixture(scope="module")
def unpacked(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/opt/env of the image as umoci unpacks it."""
    bundle = tmp_path_factory.mktemp("umoci") / "bundle"
    rootless = () if os.geteuid() == 0 else ("--rootless",)
    ran(program("umoci"), "unpack", *rootless, "--image", f"{made.layout}:1", bundle)
    return bundle / "rootfs/opt/env"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment into which pip installed the same wheels."""
    root = tmp_path_factory.mktemp("pip")
    prefix = root / "env"
    ran(sys.executable, "-m", "venv", prefix)
    for name, items in wheels():
        wheel = write_wheel(root, items, name)
        ran(
            prefix / "bin/python",
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-index",
            "--no-compile",
            wheel,
        )
    return prefix


def files(prefix: Path) -> dict[str, int]:
    """Return path → mode of each file that is not the interpreter's, pip's own or bytecode."""

    def walk() -> Iterator[tuple[str, int]]:
        for path in prefix.rglob("*"):
            name = str(path.relative_to(prefix))
            if path.is_file() and not path.is_symlink() and not _is_no_wheels(name):
                yield name, stat.S_IMODE(path.stat().st_mode)

    return dict(walk())


def _is_no_wheels(name: str) -> bool:
    if "__pycache__" in name or name in ("pyvenv.cfg", f"{SITE}/envlock.pth"):
        return True
    top = name.removeprefix(f"{SITE}/").partition("/")[0].partition("-")[0]
    if name.startswith(f"{SITE}/"):
        return top in ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils")
    return name.startswith(("bin/pip", "bin/python", "bin/activate", "bin/Activate"))


def test_the_unpacked_tree_has_the_files_and_modes_that_pip_installs(unpacked: Path, installed: Path) -> None:
    ours, pips = files(unpacked), files(installed)
    extra = {name for name in pips if name.rpartition("/")[2] in _PIPS}
    assert {name for name in extra if ".dist-info/" not in name} == set()
    assert ours == {name: mode for name, mode in pips.items() if name not in extra}
    assert ours["bin/demo"] == ours["bin/plain"] == ours[f"{SITE}/demo/tool.sh"] == 0o755


def test_the_unpacked_files_have_the_bytes_that_pip_writes(unpacked: Path, installed: Path) -> None:
    """But for three: RECORD (below), INSTALLER, and what names the interpreter's place."""
    differing = {
        name for name in files(unpacked) if (unpacked / name).read_bytes() != (installed / name).read_bytes()
    }
    made = {
        f"{SITE}/{name}-1.0.dist-info/{file}"
        for name in ("demo", "other")
        for file in ("INSTALLER", "RECORD")
    }
    assert differing == made | {"bin/demo", "bin/demo-window", "bin/run-demo"}
    script = (installed / "bin/run-demo").read_text().splitlines()[1:]
    assert (unpacked / "bin/run-demo").read_text().splitlines() == ["#!/opt/env/bin/python", *script]
    for name in ("demo", "demo-window"):
        assert "from demo import main" in (unpacked / "bin" / name).read_text()
        assert "from demo import main" in (installed / "bin" / name).read_text()


def record(prefix: Path, name: str) -> dict[str, tuple[str, str]]:
    text = (prefix / SITE / f"{name}-1.0.dist-info/RECORD").read_text()
    return {path: (hashed, size) for path, hashed, size in csv.reader(text.splitlines())}


def test_records_differ_only_where_the_files_do(unpacked: Path, installed: Path) -> None:
    """pip lists what it writes of itself, and its launchers' and scripts' bytes; all else is the same."""
    ours, pips = record(unpacked, "demo"), record(installed, "demo")
    assert {path.rpartition("/")[2] for path in pips.keys() - ours.keys()} == _PIPS
    assert ours.keys() - pips.keys() == set()
    differing = {path.rpartition("/")[2] for path in ours if ours[path] != pips[path]}
    assert differing == {"INSTALLER", "demo", "demo-window", "run-demo"}
    for path, (hashed, _) in ours.items():
        assert hashed.startswith("sha256=") == (not path.endswith("/RECORD")), path
