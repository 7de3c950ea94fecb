"""The command line as a user has it: a program, run in directories of its own, with a store of its own."""

import dataclasses
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LOCK = "pylock.envlock.toml"
JOBS = Path(__file__).parent / "jobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """``envlock`` with an environment of variables and a working directory."""

    cwd: Path
    variables: tuple[tuple[str, str], ...]
    umask: int = -1

    def argv(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "envlock", *map(str, arguments)]

    def environ(self) -> dict[str, str]:
        return {**os.environ, **dict(self.variables)}

    def moved(self, cwd: Path) -> "CommandLine":
        return dataclasses.replace(self, cwd=cwd)

    def having(self, **variables: str) -> "CommandLine":
        return dataclasses.replace(self, variables=(*self.variables, *variables.items()))

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*arguments),
            cwd=self.cwd,
            env=self.environ(),
            umask=self.umask,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def done(self, *arguments: str | Path) -> str:
        """Run to a successful end and return standard output."""
        completed = self.run(*arguments)
        assert completed.returncode == 0, f"{arguments}: {completed.returncode}\n{completed.stderr}"
        return completed.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A directory with a captured lock, the job's code and the archive that was built first."""

    directory: Path
    python: Path
    command: CommandLine
    archive: Path

    @property
    def lock(self) -> Path:
        return self.directory / LOCK

    def copied(self, target: Path) -> Path:
        """Copy the lock and what lies beside it to ``target``, as if on another machine."""
        target.mkdir(parents=True)
        shutil.copy(self.lock, target)
        # The built image is no input; the wheels and the base's blobs are.
        shutil.copytree(
            self.directory / ".envlock", target / ".envlock", ignore=shutil.ignore_patterns("image")
        )
        return target


def build_first(directory: Path, python: Path, store: Path) -> Built:
    """Capture ``python`` in ``directory`` and build the first archive, with a store that was empty."""
    directory.mkdir(exist_ok=True)
    shutil.copytree(JOBS, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    command = CommandLine(cwd=directory, variables=(("ENVLOCK_CACHE", str(store)),))
    command.done("capture", "--python", python)
    archive = directory / "first.tar"
    command.done("build", "-o", f"oci-archive:{archive}")
    return Built(directory=directory, python=python, command=command, archive=archive)
