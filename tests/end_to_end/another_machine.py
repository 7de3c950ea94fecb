"""Another machine: Debian 13's root file system, its Python 3.13, and envlock installed from its wheel."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
USER = "4711"
"""Somebody whom the machine has no account for."""
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnotherMachine:
    """A machine with files of its own below ``root``."""

    root: Path

    @property
    def home(self) -> Path:
        """The one directory where the machine's user may write."""
        return self.root / "srv/work"

    def python(self, *arguments: str, **variables: str) -> str:
        """Run the machine's Python in its home to a successful end; return standard output."""
        alone = ["unshare", "--mount", "--pid", "--fork", f"--root={self.root}", "--mount-proc"]
        done = subprocess.run(
            [*alone, "--wd=/srv/work", f"--setgid={USER}", f"--setuid={USER}", "python3.13", *arguments],
            env={"PATH": "/usr/bin", "PYTHONPATH": "/opt/envlock", **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def make(directory: Path) -> AnotherMachine:
    """Make the machine in ``directory`` of Debian's packages and envlock's wheel. Needs root."""
    root = directory / "root"
    suite = ["--variant=extract", "--include=base-files,python3", "trixie"]
    _run("mmdebstrap", "--quiet", "--format=directory", *suite, root)
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", directory, ROOT)
    (wheel,) = directory.glob("envlock-*.whl")
    there = [f"--target={root}/opt/envlock", "--only-binary=:all:", "--python-version=3.13"]
    there += [f"--platform={name}" for name in _PLATFORMS]
    _run(sys.executable, "-m", "pip", "--quiet", "install", *there, wheel)
    machine = AnotherMachine(root=root)
    machine.home.mkdir(parents=True)
    os.chown(machine.home, int(USER), int(USER))
    return machine


def lend(machine: AnotherMachine, source: Path, name: str) -> str:
    """Copy a directory to the machine's home, its user's from then on; return where the machine has it."""
    target = machine.home / name
    shutil.copytree(source, target)
    _run("chown", "--recursive", f"{USER}:{USER}", target)
    return f"/srv/work/{name}"


def _run(*argv: str | Path) -> None:
    done = subprocess.run(list(map(str, argv)), cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
