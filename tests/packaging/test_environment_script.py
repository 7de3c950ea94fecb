"""A machine that can't run envlock is told why, and what to install."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _made(tmp_path: Path, path: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", ROOT / ".ci/environment", tmp_path / "venv"],
        cwd=ROOT,
        env={"PATH": path, "HOME": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_old_python_is_named_with_what_is_expected(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    _program(old, '[ "$1" = -V ] && echo Python 3.7.1; exit 1')
    refused = _made(tmp_path, os.defpath, PYTHON=str(old))
    assert refused.returncode == 2
    assert f"{old}: expected 3.10+, found Python 3.7.1" in refused.stderr
    assert "hint:" in refused.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_without_ensurepip_is_told_the_package_to_install(tmp_path: Path) -> None:
    bare = tmp_path / "python3"
    _program(bare, 'case "$*" in *ensurepip*) exit 1;; -V) echo Python 3.12.0;; esac')
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "rm").symlink_to("/bin/rm")
    refused = _made(tmp_path, str(tools), PYTHON=str(bare))
    assert refused.returncode == 2
    assert "ensurepip" in refused.stderr
    assert "hint: apt-get install python3-venv" in refused.stderr


@pytest.mark.parametrize("name", ["docker-engine", "base-image", "environment", "pins"])
def test_every_script_is_valid_shell(name: str) -> None:
    subprocess.run(["/bin/sh", "-n", ROOT / ".ci" / name], check=True)
