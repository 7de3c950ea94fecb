"""Real interpreters: this one, and a virtual environment with hand-made distributions."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.capture import active, environment, machine, probe, python
from envlock.core.progress import Silent
from envlock.runtime.errors import InputError, UsageError

Put = Callable[[Path, bytes], Path]


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("venv") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    return directory


def site_of(venv: Path) -> Path:
    return venv / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


def test_capture_of_a_virtual_environment_with_faulty_distributions(venv: Path, put: Put) -> None:
    site = site_of(venv)
    put(site / "good-1.0.dist-info/METADATA", b"Name: good\nVersion: 1.0\n")
    put(site / "good-1.0.dist-info/RECORD", b"good-1.0.dist-info/METADATA,sha256=AAAA,5\n")
    put(site / "noisy.pth", b"import sys; print('noise on standard output')\n")
    put(site / "twice-1.0.dist-info/METADATA", b"Name: twice\nVersion: 1.0\n")
    put(site / "twice-2.0.dist-info/METADATA", b"Name: twice\nVersion: 2.0\n")
    put(site / "corrupt-1.0.dist-info/METADATA", b"\xff\xfe\0\0")
    (site / "empty-1.0.dist-info").mkdir()
    put(site / "old-1.0.egg-info", b"Name: old\nVersion: 1.0\n")
    put(site / "older-1.0.egg-info/PKG-INFO", b"Name: older\nVersion: 1.0\n")
    before = sorted(venv.rglob("*"))
    found = environment.read(venv / "bin/python", project=None, environ=os.environ, progress=Silent())
    assert sorted(venv.rglob("*")) == before
    # What no distribution lists (noisy.pth) is carried by one of envlock's own.
    orphans, good, *others = found.distributions
    assert [orphans.name, good.name] == ["envlock-orphans", "good"]
    assert [one.name for one in others] == ["old", "older", "twice"]
    assert good.modified == ("good-1.0.dist-info/METADATA",)
    assert good.site == site
    subjects = [gap.subject for gap in found.gaps]
    assert {"corrupt-1.0.dist-info", "empty-1.0.dist-info", "twice"} <= set(subjects)
    assert subjects == sorted(subjects)
    assert (found.python.implementation, found.python.minor) == (
        "cpython",
        ".".join(map(str, sys.version_info[:2])),
    )
    assert found.project is None


def test_capture_with_a_project(venv: Path, tmp_path: Path) -> None:
    found = environment.read(venv / "bin/python", project=tmp_path, environ=os.environ, progress=Silent())
    assert any(gap.subject == "project" for gap in found.gaps)


def test_code_on_pythonpath_that_no_package_holds_is_a_gap(venv: Path, tmp_path: Path, put: Put) -> None:
    one = python.ask(venv / "bin/python", os.environ)
    names = [put(tmp_path / f"loose/{name}.py", b"").stem for name in "abcdef"]
    (gap,) = machine.unseen(one, {"PYTHONPATH": f"{tmp_path}/loose:{tmp_path}/none"})
    assert gap.subject == "PYTHONPATH"
    assert f"{names[0]}.py" in gap.reason
    assert gap.reason.endswith(" and 2 more")
    assert str(tmp_path) not in gap.reason
    assert machine.unseen(one, {"PYTHONPATH": f"{tmp_path}/none"}) == ()


def test_only_an_environment_has_libraries_of_its_own(venv: Path) -> None:
    one = python.ask(venv / "bin/python", os.environ)
    assert environment._own_libraries(one) == (venv / "lib",)
    assert environment._own_libraries(replace(one, prefix=one.base_prefix)) == ()


def test_machine_facts_leave_what_belongs_to_the_environment(venv: Path) -> None:
    variables = {**os.environ, "OMP_NUM_THREADS": "3"}
    installed = environment.read_installed(venv / "bin/python", environ=variables, progress=Silent())
    assert installed.project is None
    found = machine.with_machine(installed, project=None, environ=os.environ)
    assert ("OMP_NUM_THREADS", "3") in found.cpu.threads
    assert found.cpu.cores >= 1
    assert set(installed.gaps) <= set(found.gaps)


def test_probe_answers_for_a_base_interpreter() -> None:
    found = python.ask(Path(sys.executable), os.environ)
    assert found.version == ".".join(map(str, sys.version_info[:3]))
    assert any(facts["name"].startswith("pytest-") for facts in found.distributions if facts["name"])


def test_program_that_is_no_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a Python interpreter"):
        python.ask(tmp_path / "absent", os.environ)
    with pytest.raises(InputError, match="did not answer"):
        python.ask(Path("/bin/false"), os.environ)
    with pytest.raises(InputError, match="did not answer"):
        python.ask(Path("/bin/ls"), {"PATH": "/bin"})


@pytest.mark.parametrize(
    ("prefix", "owned", "built", "expected"),
    [
        ("/usr", True, "", ("system", "/usr")),
        ("/home/ann/.pyenv/versions/3.11.7", False, "", ("pyenv", "/opt/python")),
        ("/home/ann/uv/cpython-3.11", False, "/install", ("standalone", "/opt/python")),
        ("/usr/local", False, "", ("other", "/usr/local")),
        ("/home/a/p", False, "", ("other", "/opt/python")),
    ],
)
def test_kind_and_place_of_an_interpreter(
    venv: Path,
    prefix: str,
    owned: bool,  # noqa: FBT001 (a column of the table)
    built: str,
    expected: tuple[str, str],
) -> None:
    one = replace(python.ask(venv / "bin/python", os.environ), base_prefix=Path(prefix), built_prefix=built)
    found = python.describe(one, owned=owned)
    assert (found.prefix_kind, found.prefix) == expected


def test_conda_is_known_by_its_records(venv: Path, tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    one = replace(python.ask(venv / "bin/python", os.environ), base_prefix=tmp_path)
    assert python.kind(one, owned=False) == "conda"


def test_active_environment_is_virtual_env_then_conda_then_path(tmp_path: Path, put: Put) -> None:
    for name in ("venv", "conda"):
        put(tmp_path / name / "bin/python", b"")
    program = put(tmp_path / "path/python3", b"#!/bin/sh\n")
    program.chmod(0o755)
    environ = {
        "VIRTUAL_ENV": f"{tmp_path}/venv",
        "CONDA_PREFIX": f"{tmp_path}/conda",
        "PATH": f"{tmp_path}/path",
    }
    assert active.active_python(environ) == tmp_path / "venv/bin/python"
    assert active.active_python(environ, command=("python3", "train.py")) == program
    assert active.active_python(environ, command=("bash", "run.sh")) == tmp_path / "venv/bin/python"
    del environ["VIRTUAL_ENV"]
    assert active.active_python(environ) == tmp_path / "conda/bin/python"
    del environ["CONDA_PREFIX"]
    assert active.active_python(environ) == program


def test_own_environment_is_passed_over_on_path(tmp_path: Path, put: Put) -> None:
    for name in ("own/bin/python3", "other/python3"):
        put(tmp_path / name, b"").chmod(0o755)
    path = f"{tmp_path}/own/bin:{tmp_path}/other"
    assert active.active_python({"PATH": path}, f"{tmp_path}/own") == tmp_path / "other/python3"


def test_no_environment_and_a_broken_one_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no environment") as none:
        active.active_python({"PATH": str(tmp_path)})
    assert none.value.hint
    with pytest.raises(UsageError, match="no interpreter"):
        active.active_python({"VIRTUAL_ENV": str(tmp_path)})


def test_probe_functions_give_what_its_script_prints(venv: Path, put: Put) -> None:
    found = probe.facts(bare=False)
    assert found["version"] == python.ask(Path(sys.executable), os.environ).version
    directory = venv / "apart"
    put(directory / "a-1.dist-info/METADATA", b"Name: a")
    put(directory / "b.egg-info", b"Name: b")
    put(directory / "c.egg-info/PKG-INFO", b"Name: c")
    names = ("a-1.dist-info", "b.egg-info", "c.egg-info")
    texts = [probe.distribution(str(directory), name)["METADATA"] for name in names]
    assert texts == ["Name: a", "Name: b", "Name: c"]
    assert probe.distribution(str(directory), "a-1.dist-info")["RECORD"] is None
