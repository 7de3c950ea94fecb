"""A fake image: the tree of /opt/envlock in a temporary directory, run by the current interpreter.

The environment is laid out as in the image: a virtual environment made of ``pyvenv.cfg``, one link to
the interpreter and an ``envlock.pth``. Distributions come from the environment that runs the tests.
"""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from envlock.image import mkl
from envlock.runtime import record
from envlock.runtime.hostfacts import HostFacts
from envlock.runtime.record import RunRecord

SOURCE = Path(record.__file__).parents[2]
IMAGE: dict[str, object] = {
    "format": 1,
    "environment-id": "sha256:" + "a" * 64,
    "lock-sha256": "b" * 64,
    "runtime": "sha256:" + "c" * 64,
    "env": {
        "MKL_DYNAMIC": "FALSE",
        "MKL_NUM_THREADS": "2",
        "NUMEXPR_NUM_THREADS": "2",
        "OMP_DYNAMIC": "FALSE",
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "PYTHONHASHSEED": "0",
    },
    "python": {"version": "3.11.7", "implementation": "cpython"},
    "os": {"id": "debian", "version": "12", "machine": os.uname().machine},
    "cpu": {"model": "Some CPU", "isa": "x86-64-v3", "cores": 2},
    "gpu": {"driver": None, "cuda": None, "devices": []},
    "cuda": [],
    "packages": {"idna": "3.10"},
    "project": {"commit": "d" * 40, "dirty": False, "tree": None},
    "gaps": [{"subject": "some", "reason": "because"}],
}
HOST = HostFacts(
    machine="x86_64",
    kernel="6.1",
    cpu_model="Some CPU",
    isa="x86-64-v3",
    cores=2,
    memory=2**30,
    driver=None,
    gpus=(),
)
_MAIN = """
import gc, os, sys
gc.disable()
if "COVERAGE_PROCESS_CONFIG" in os.environ:
    sys.path.append({site!r})
    import coverage
    coverage.process_startup()
    sys.path.remove({site!r})
sys.path.insert(0, {source!r})
from envlock.runtime.entrypoint import main
from envlock.runtime.layout import Layout
main(None, Layout(root={root!r}, environment={environment!r}, work={work!r}, out={out!r}, tmp={tmp!r}))
"""

_FACTS = """
import os, sys, sysconfig
print(f"{sys.version_info[0]}.{sys.version_info[1]}")
print(os.path.dirname(os.path.realpath(sys.executable)))
print(sysconfig.get_path("platlib"))
"""


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command in the fake image ended."""

    status: int
    stdout: str
    stderr: str
    records: tuple[RunRecord, ...]

    @property
    def record(self) -> RunRecord:
        (one,) = self.records
        return one


@dataclass(frozen=True)
class FakeImage:
    """The tree and how to run commands in it."""

    root: Path
    python: str = sys.executable

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def environment(self) -> Path:
        return self.root / "env"

    @property
    def packages(self) -> Path:
        """The site-packages of the environment."""
        (found,) = self.environment.glob("lib/python*/site-packages")
        return found

    def describe(self, **changes: object) -> None:
        """Write image.json with some members changed."""
        path = self.root / "envlock" / "image.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({**IMAGE, **changes}))

    def environ(self, extra: Mapping[str, str]) -> dict[str, str]:
        """The container's environment: the image's variables, then the user's."""
        kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
        baked = json.loads((self.root / "envlock" / "image.json").read_text())["env"]
        own = {"HOME": str(self.tmp), "PATH": f"{self.environment}/bin:{os.environ['PATH']}"}
        return {**kept, **baked, **own, **extra}

    @property
    def argv(self) -> list[str]:
        """What stands for /opt/envlock/bin/envlock-run."""
        return [self.python, "-IS", str(self.root / "envlock-run")]

    def start(
        self, *argv: str, env: Mapping[str, str] | None = None, start_new_session: bool = False
    ) -> subprocess.Popen[str]:
        """Start the entrypoint and let it run."""
        return subprocess.Popen(
            [*self.argv, *argv],
            env=self.environ(env or {}),
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=start_new_session,
        )

    def run(self, *argv: str, env: Mapping[str, str] | None = None) -> Done:
        """Run the entrypoint to its end."""
        before = set(self.out.glob("records/*.json"))
        process = self.start(*argv, env=env)
        stdout, stderr = process.communicate(timeout=120)
        made = sorted(set(self.out.glob("records/*.json")) - before)
        records = tuple(record.parse(path.read_bytes(), path.name) for path in made)
        return Done(status=process.returncode, stdout=stdout, stderr=stderr, records=records)

    def job(self, code: str, *options: str, env: Mapping[str, str] | None = None) -> Done:
        """Run Python code as the job, from a file in /work."""
        (self.work / "job.py").write_text(code)
        return self.run(*options, "--", "python", "job.py", env=env)


@functools.cache
def _facts(python: str) -> tuple[str, str, str]:
    """Return the minor version, the directory of the interpreter itself, and its site-packages."""
    done = subprocess.run([python, "-c", _FACTS], capture_output=True, text=True, check=True)
    version, home, site = done.stdout.splitlines()
    return version, home, site


def make(root: Path, python: str) -> FakeImage:
    """Write the tree for the interpreter ``python``, whose site-packages the job sees too."""
    version, home, site = _facts(python)
    image = FakeImage(root, str(root / "env" / "bin" / "python"))
    packages = image.environment / "lib" / f"python{version}" / "site-packages"
    for directory in (image.work, image.out, image.tmp, image.environment / "bin", packages):
        directory.mkdir(parents=True)
    (image.environment / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
    Path(image.python).symlink_to(Path(home) / f"python{version}")
    (packages / "a.pth").write_text(f"import site; site.addsitedir({site!r})\n")
    (packages / "envlock.pth").write_text(f"{SOURCE}\nimport envlock.runtime.startup\n")
    image.describe()
    (root / "envlock" / "lib").mkdir()
    (root / "envlock" / "lib" / "yaml").symlink_to(Path(yaml.__file__).parent)
    (root / "envlock" / "lib" / "libenvlock-mkl.so").write_bytes(mkl.library())
    places = {
        "site": str(Path(yaml.__file__).parents[1]),
        "source": str(SOURCE),
        "root": str(root / "envlock"),
        "environment": str(image.environment),
        "work": str(image.work),
        "out": str(image.out),
        "tmp": str(image.tmp),
    }
    (root / "envlock-run").write_text(_MAIN.format(**places))
    return image


@pytest.fixture
def image(tmp_path: Path) -> FakeImage:
    return make(tmp_path, sys.executable)
