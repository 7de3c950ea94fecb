"""``envlock check`` against a small virtual environment of its own."""

import hashlib
import json
import os
import subprocess
import sys
import time
import venv
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from envlock.capture import environment
from envlock.cli import check, main
from envlock.core.digest import Digest
from envlock.core.progress import Silent
from envlock.host.observation import SETTLED_AFTER
from envlock.lock import file
from envlock.lock.drift import Drift, Grade
from envlock.lock.environment import Environment
from envlock.lock.model import Base, Lock, Package, Project, Wheel
from envlock.wheels.record import encoded
from tests.host.opened import watching_opened

ROOT = Path(__file__).parents[2]


def put_distribution(prefix: Path, version: str, module: str = "x = 1\n") -> Path:
    """Install a distribution ``demo`` of one module and return the module."""
    site = next((prefix / "lib").glob("python*/site-packages"))
    info = site / f"demo-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (site / "demo.py").write_text(module)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    record = "demo.py,sha256=nia_NpkRxFwkPGhBR7I_yeHc_PJX0pmhxjIBam_NM_Q,6\n"
    (info / "RECORD").write_text(f"{record}demo-{version}.dist-info/METADATA,,\n")
    return site / "demo.py"


def lock_of(environment: Environment) -> Lock:
    """Return the lock that a capture of ``environment`` would write, its base left out."""
    packages = tuple(
        Package(
            name=one.name,
            version=one.version,
            wheel=Wheel(
                name=f"{one.name}-{one.version}-py3-none-any.whl",
                sha256=Digest.of(one.name.encode()),
                size=1,
                url=f"https://index.example/{one.name}-{one.version}-py3-none-any.whl",
            ),
            source="index",
            evidence="matched",
            modified=one.modified,
        )
        for one in environment.distributions
    )
    packed = environment.host_files.packages if environment.host_files is not None else ()
    return Lock(
        python=environment.python,
        os=environment.os,
        cpu=environment.cpu,
        gpu=environment.gpu,
        packages=packages,
        base=Base(kind="host", layers=()),
        system_packages=tuple(one.package for one in packed),
        conda=environment.conda,
        libraries=environment.libraries,
        cuda=environment.cuda,
        project=environment.project,
        environment=environment.variables,
        gaps=environment.gaps,
    )


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(prefix, symlinks=True)
    put_distribution(prefix, "1.0")
    return prefix


@pytest.fixture(scope="module")
def lock(prefix: Path) -> Lock:
    return lock_of(
        environment.read(prefix / "bin/python", project=None, environ=os.environ, progress=Silent())
    )


@pytest.fixture
def run(prefix: Path, lock: Lock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> "CheckRun":
    return CheckRun(prefix, lock, tmp_path / "pylock.envlock.toml", capsys)


class CheckRun:
    """Checks the environment against a lock."""

    def __init__(self, prefix: Path, lock: Lock, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.prefix, self.lock, self.path, self.capsys = prefix, lock, path, capsys

    def __call__(self, lock: Lock, *options: str) -> tuple[int, str]:
        file.write(self.path, lock)
        argv = ["check", str(self.path), "--python", str(self.prefix / "bin/python"), "--quiet", *options]
        status = main._status(argv)
        return status, self.capsys.readouterr().out


def test_an_environment_matches_the_lock_of_itself(run: CheckRun) -> None:
    assert run(run.lock) == (0, "matches the lock\n")


def test_drift_is_listed_with_the_gravest_first(run: CheckRun) -> None:
    demo = run.lock.packages[0]
    gone = replace(demo, name="gone", wheel=replace(demo.wheel, name="gone-1.0-py3-none-any.whl"))
    older = replace(demo, version="0.9", wheel=replace(demo.wheel, name="demo-0.9-py3-none-any.whl"))
    locked = replace(run.lock, packages=(older, gone), os=replace(run.lock.os, kernel="1.0"))
    status, text = run(locked)
    assert status == 1
    lines = [line.split() for line in text.splitlines() if line.strip()]
    assert lines[0] == ["drifted:", "1", "breaks,", "1", "may", "change", "results,", "1", "no", "effect"]
    assert lines[2] == ["packages:", "gone", "1.0", "-"]
    assert lines[4] == ["packages:", "demo", "0.9", "1.0"]
    assert lines[6][:2] == ["os:", "kernel"]
    answer = json.loads(run(locked, "--json")[1])
    assert (answer["drifted"], answer["grade"], answer["unchecked"]) == (True, "breaks", [])
    assert answer["differences"][0] == {
        "grade": "breaks",
        "part": "packages",
        "subject": "gone",
        "locked": "1.0",
        "found": None,
        "files": [],
    }


@pytest.mark.parametrize(
    ("grade", "failing"),
    [("breaks", {"breaks", "results", "any"}), ("results", {"results", "any"}), ("none", {"any"})],
)
def test_the_user_says_what_fails_the_check(grade: Grade, failing: set[str]) -> None:
    drift = Drift(grade=grade, part="cpu", subject="model", locked="a", found="b")
    for choice in ("breaks", "results", "any", "never"):
        assert check.fails([drift], choice) == (choice in failing)
        assert not check.fails([], choice)


def test_a_part_can_be_left_out(run: CheckRun) -> None:
    locked = replace(run.lock, cpu=replace(run.lock.cpu, model="Another"))
    assert run(locked, "--fail-on", "breaks")[0] == 0
    assert run(locked, "--ignore", "gpu", "--ignore", "cpu") == (0, "matches the lock\n")


def test_edited_files_are_named_and_counted(run: CheckRun) -> None:
    module = put_distribution(run.prefix, "1.0", "x = 2\n")
    try:
        status, text = run(run.lock)
        assert status == 1
        assert "packages: demo 1.0" in text
        assert "demo.py" in text.splitlines()[-1]
    finally:
        module.write_text("x = 1\n")


def test_files_that_were_hashed_are_read_again_on_request_only(
    run: CheckRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVLOCK_CACHE", str(tmp_path / "store"))
    module = str(put_distribution(run.prefix, "1.0"))
    # What changed a moment ago is hashed in every case.
    time.sleep(SETTLED_AFTER / 1e9 + 0.1)
    reads = []
    for options in ((), (), ("--verify",)):
        opened: list[str] = []
        with watching_opened(opened):
            assert run(run.lock, *options)[0] == 0
        reads.append(module in opened)
    assert reads == [True, False, True]


def test_of_many_edited_files_five_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    files = tuple(f"{name}.py" for name in "abcdefg")
    edited = Drift(grade="results", part="packages", subject="x 1", locked="7 files", found="e", files=files)
    check._print((edited,), (), drifted=True)
    assert "a.py, b.py, c.py, d.py, e.py and 2 more" in capsys.readouterr().out


def test_the_project_is_compared_on_request(run: CheckRun, tmp_path: Path) -> None:
    project = Project(commit="0a1b", tree=Digest.of(b"tree"))
    locked = replace(run.lock, project=project)
    code = tmp_path / "code"
    code.mkdir()
    subprocess.run(["git", "init", "-q", str(code)], check=True)
    (code / "train.py").write_text("x")
    commit = [
        "git",
        "-C",
        str(code),
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b.example",
        "commit",
        "-qm",
        "x",
    ]
    subprocess.run(["git", "-C", str(code), "add", "-A"], check=True)
    subprocess.run(commit, check=True)
    status, text = run(locked, "--project", str(code))
    assert status == 1
    assert "project: tree" in text


def test_what_could_not_be_checked_is_told(run: CheckRun) -> None:
    broken = next((run.prefix / "lib").glob("python*/site-packages")) / "odd-1.dist-info"
    broken.mkdir()
    try:
        status, text = run(run.lock)
        assert status == 0
        assert "not checked  odd-1.dist-info" in text
    finally:
        broken.rmdir()


def test_the_environment_that_pre_commit_made_for_the_hook_is_not_the_users() -> None:
    hook = {"PRE_COMMIT": "1", "VIRTUAL_ENV": "/hook/env", "PATH": "/bin"}
    assert check.without_hook(hook, "/hook/env") == {"PRE_COMMIT": "1", "PATH": "/bin"}
    assert check.without_hook(hook, "/other") == hook
    del hook["PRE_COMMIT"]
    assert check.without_hook(hook, "/hook/env") == hook


def test_the_hook_does_what_its_file_says(prefix: Path, lock: Lock, tmp_path: Path) -> None:
    """As pre-commit runs it: its own environment active and first on PATH, the user's behind it."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert (hook["id"], hook["language"], hook["pass_filenames"]) == ("envlock-check", "python", False)
    program, *arguments = hook["entry"].split()
    assert program == "envlock"
    environ = {
        **os.environ,
        "PRE_COMMIT": "1",
        "VIRTUAL_ENV": sys.prefix,
        "PATH": os.pathsep.join([f"{sys.prefix}/bin", f"{prefix}/bin", os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
    }
    another = replace(lock, cpu=replace(lock.cpu, model="Another"))
    older = replace(lock, packages=())
    for locked, status in ((another, 0), (older, 1)):
        file.write(tmp_path / "pylock.envlock.toml", locked)
        done = subprocess.run(
            [sys.executable, "-m", "envlock", *arguments],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr


def test_a_launcher_that_got_an_option_is_no_drift(run: CheckRun, lock: Lock, prefix: Path) -> None:
    script = prefix / "bin/demo"
    record = next((prefix / "lib").glob("python*/site-packages/demo-1.0.dist-info/RECORD"))
    before = record.read_text()
    script.write_text(f"#!{prefix}/bin/python\nimport demo\n")
    sha256 = encoded(hashlib.sha256(script.read_bytes()).digest())
    record.write_text(f"{before}../../../bin/demo,sha256={sha256},1\n")
    try:
        for option, edited in ((" -sE", False), (" -sE\nimport os", True)):
            script.write_text(f"#!{prefix}/bin/python{option}\nimport demo\n")
            _, printed = run(lock, "--json")
            assert ("bin/demo" in printed) is edited
    finally:
        record.write_text(before)
        script.unlink()
