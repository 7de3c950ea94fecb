"""Running a built image as users do, and reading what a run left behind."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.project import JOBS, Built, CommandLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run left behind."""

    record: Path
    hashes: tuple[str, ...]

    def outputs(self) -> dict[str, str]:
        found = json.loads(self.record.read_text())["outputs"]
        return {output["path"]: output["sha256"] for output in found}


def _hashes(printed: str) -> tuple[str, ...]:
    """Return the lines ``name <sha256>`` that a job prints."""
    return tuple(re.findall(r"(?m)^\w+ [0-9a-f]{64}$", printed))


def run_embedded(built: Built, manifest: str, seed: int, directory: Path) -> Run:
    """``envlock run`` through the embedded engine, as a user types it."""
    _job(directory)
    command: CommandLine = built.command.moved(directory)
    where = ("--engine", "embedded", "--image", f"oci-archive:{built.archive}")
    printed = command.done("run", manifest, "--seed", str(seed), *where)
    (record,) = (directory / "out" / "records").glob("*.json")
    return Run(record=record, hashes=_hashes(printed))


def run_docker(tag: str, manifest: str, seed: int, directory: Path) -> Run:
    """``docker run`` without envlock on the outside."""
    _job(directory)
    out = directory / "out"
    out.mkdir(mode=0o777)
    out.chmod(0o777)
    mounts = ["--volume", f"{directory}:/work", "--volume", f"{out}:/out"]
    entrypoint = ["--manifest", manifest, "--seed", str(seed)]
    done = subprocess.run(
        ["docker", "run", "--rm", *mounts, tag, *entrypoint], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (record,) = (out / "records").glob("*.json")
    return Run(record=record, hashes=_hashes(done.stdout))


def _job(directory: Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o755)
    for source in JOBS.iterdir():
        if source.is_file():
            (directory / source.name).write_bytes(source.read_bytes())


def load_into_docker(built: Built, tag: str, directory: Path) -> str:
    archive = directory / "docker.tar"
    built.command.done("build", "-t", tag, "-o", f"docker-archive:{archive}")
    loaded = subprocess.run(
        ["docker", "load", "--input", archive], capture_output=True, text=True, check=False
    )
    assert loaded.returncode == 0, loaded.stderr
    archive.unlink()
    return tag


def verdict_of(command: CommandLine, first: Run, second: Run) -> str:
    """Return compare's verdict and check that its exit status says the same."""
    done = command.run("compare", first.record, second.record, "--json")
    verdict = str(json.loads(done.stdout)["verdict"])
    assert done.returncode == {"identical": 0, "different": 1}[verdict]
    return verdict


def remove_from_docker(tag: str) -> None:
    """Leave nothing of the tests in the engine."""
    subprocess.run(["docker", "rmi", "--force", tag], capture_output=True, check=True)
