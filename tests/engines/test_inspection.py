"""A real interpreter in a real root: what is read of it, and what it may do meanwhile."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from envlock.core.progress import Silent
from envlock.engines import inspection
from envlock.lock.environment import Environment
from envlock.runtime.errors import InputError, UnreachableError
from tests.engines import python_root
from tests.engines.python_root import PythonRoot

pytestmark = pytest.mark.usefixtures("namespaces")

# Run by the interpreter at start, as an image's maker might have it do.
CURIOUS = """
import json, os, socket
def answer(question):
    try:
        return question()
    except Exception as error:
        return type(error).__name__
def rights():
    return [line.split()[1] for line in open("/proc/self/status") if line.startswith(("CapEff", "CapBnd"))]
facts = {
    "rights": answer(rights),
    "variables": sorted(os.environ),
    "processes": answer(lambda: sorted(name for name in os.listdir("/proc") if name.isdecimal())),
    "interfaces": answer(lambda: [name for _, name in socket.if_nameindex()]),
    "write": answer(lambda: open("/opt/venv/mine", "w")),
    "chroot": answer(lambda: os.chroot("/opt")),
    "descriptors": answer(lambda: sorted(os.readlink(f"/proc/1/fd/{n}") for n in os.listdir("/proc/1/fd"))),
    "secret": answer(lambda: os.path.exists(%r)),
}
os.write(2, json.dumps(facts).encode())
os._exit(3)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> PythonRoot:
    return python_root.made(tmp_path_factory.mktemp("image") / "root")


@pytest.fixture
def planted(root: PythonRoot) -> Iterator[PythonRoot]:
    """The root, whose venv is as it was after the test."""
    yield root
    (root.directory / python_root.SITE / "planted.pth").unlink(missing_ok=True)


def read(root: PythonRoot, python: Path | None = None) -> Environment:
    return inspection.read(root.directory, root.configuration, python, Silent())


def test_the_environment_is_the_images(root: PythonRoot) -> None:
    found = read(root)
    assert (found.os.id, found.os.version) == ("simulated", "1")
    assert found.variables == (("OMP_NUM_THREADS", "3"),)
    (demo,) = found.distributions
    assert (demo.name, demo.site, demo.root) == ("demo", Path("/", python_root.SITE), root.directory)
    assert demo.modified == ()
    assert found.host_files is not None
    assert found.host_files.root == root.directory
    assert found.host_files.loose


SPEC = """\
Name: simulated-libc
Version: 1.0
Release: 3
Summary: The C library
License: MIT
AutoReqProv: no
%description
The C library.
%install
mkdir -p %{buildroot}{directory}
cp {file} %{buildroot}{directory}/
%files
{path}
"""


def test_an_rpm_database_in_the_root_is_read_by_this_machines_rpm(rpm: str, tmp_path: Path) -> None:
    """As in Fedora's and Red Hat's images, where no program but the interpreter may be started."""
    root = python_root.made(tmp_path / "root")
    shutil.rmtree(root.directory / "var/lib/dpkg")
    (libc,) = {path.resolve() for path in root.directory.rglob("libc.so.6")}
    inside = Path("/", libc.relative_to(root.directory.resolve()))
    spec = SPEC.replace("{directory}", str(inside.parent)).replace("{path}", str(inside))
    (tmp_path / "libc.spec").write_text(spec.replace("{file}", str(libc)))
    home = {**os.environ, "HOME": str(tmp_path)}
    # Fedora's place is a link, which must not lead out of the root.
    (root.directory / "var/lib/rpm").symlink_to("/usr/lib/sysimage/rpm")
    for argv in (
        ["rpmbuild", "-bb", "--define", f"_topdir {tmp_path}/build", f"{tmp_path}/libc.spec"],
        [rpm, "--dbpath", f"{root.directory}/usr/lib/sysimage/rpm", "-i", "--justdb", "--nodeps"],
    ):
        packages = map(str, tmp_path.glob("build/RPMS/*/*.rpm")) if argv[0] == rpm else ()
        subprocess.run([*argv, *packages], check=True, capture_output=True, env=home)
    found = read(root)
    assert found.host_files is not None
    (packed,) = found.host_files.packages
    assert (packed.package.name, packed.package.version, packed.package.manager) == (
        "simulated-libc",
        "1.0-3",
        "rpm",
    )
    assert [file.path for file in packed.files] == [str(inside)]
    assert dict(found.libraries)["libc.so.6"] == "os:simulated-libc"
    assert "base" not in {gap.subject for gap in found.gaps}


def test_reading_twice_gives_the_same_and_changes_nothing(root: PythonRoot) -> None:
    before = sorted(root.directory.rglob("*"))
    assert read(root) == read(root, Path("/opt/venv"))
    assert sorted(root.directory.rglob("*")) == before


def test_the_interpreter_has_no_rights_no_network_and_no_sight_of_this_machine(
    planted: PythonRoot, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    lines = CURIOUS % str(secret)
    planted.put(f"{python_root.SITE}/planted.pth", f"import sys; exec({lines!r}, {{}})\n")
    with pytest.raises(InputError, match="did not answer") as told:
        read(planted)
    facts = json.loads(str(told.value.found))
    assert facts["rights"] == ["0" * 16] * 2
    assert facts["variables"] == ["API_TOKEN", "OMP_NUM_THREADS", "PATH"]
    assert facts["processes"][0] == "1"
    assert len(facts["processes"]) == 2
    assert facts["interfaces"] == ["lo"]
    assert facts["write"] == "OSError"
    assert facts["chroot"] == "PermissionError"
    assert facts["descriptors"] == "PermissionError"
    assert facts["secret"] is False


def test_what_the_interpreter_prints_is_no_answer(planted: PythonRoot) -> None:
    planted.put(f"{python_root.SITE}/planted.pth", "import sys; sys.stdout.write('{\"environment\": 1}')\n")
    assert read(planted).distributions[0].name == "demo"


def test_last_words_cannot_steer_the_terminal(planted: PythonRoot) -> None:
    line = r"import os; os.write(2, b'\x1b[2J\x1b]0;owned\x07gone'); os._exit(1)"
    planted.put(f"{python_root.SITE}/planted.pth", line + "\n")
    with pytest.raises(InputError) as told:
        read(planted)
    assert str(told.value.found) == "[2J]0;ownedgone"


def test_an_image_without_the_interpreter_asked_for_is_bad_input(root: PythonRoot) -> None:
    with pytest.raises(InputError, match="no such interpreter"):
        read(root, Path("/opt/conda"))


def test_a_root_that_cannot_be_entered_is_told_in_one_line(root: PythonRoot, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="could not be read"):
        inspection.read(tmp_path / "absent", root.configuration, None, Silent())


def test_an_ordinary_user_reads_the_same(root: PythonRoot) -> None:
    script = (
        "import os, sys; from envlock.core.progress import Silent; from envlock.engines import inspection\n"
        "from envlock.engines.configuration import ImageConfiguration\n"
        "from pathlib import Path\n"
        "settings = ImageConfiguration(environment=(('PATH', '/opt/venv/bin'), ('OMP_NUM_THREADS', '3')))\n"
        "print(os.geteuid(), inspection.read(Path(sys.argv[1]), settings, None, Silent()))"
    )
    argv = ["unshare", "--user", "--map-user=4711", "--map-group=4711", "--"]
    told = subprocess.run(
        [*argv, sys.executable, "-c", script, str(root.directory)], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == f"4711 {read(root)}"
