"""Real launchers: each rank has its own streams, the same in each run and from each launcher.

A launcher starts one container a rank, or runs inside one container; both are tried.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from envlock.replay.trace.reading import events
from tests.conftest import ROOT, require
from tests.runtime.conftest import FakeImage, make

RANKS = """
import json, os, random, sys
import numpy as np
path = os.environ["ENVLOCK_PROC"].split("|")
# One write: ranks share the pipe.
line = json.dumps([path[1:], random.random(), np.random.rand(), np.random.default_rng().random()])
os.write(1, (line + "\\n").encode())
"""
TRAINING = """
import json, os, torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
if __name__ == "__main__":
    dist.init_process_group("gloo")
    model = DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout()))
    optimizer = torch.optim.Adam(model.parameters())
    for batch, in DataLoader(TensorDataset(torch.randn(16, 4)), 4, shuffle=True, num_workers=1):
        optimizer.zero_grad()
        model(batch).sum().backward()
        optimizer.step()
    weights = sum(one.double().sum().item() for one in model.parameters())
    line = json.dumps([dist.get_rank(), torch.rand(1).item(), weights])
    os.write(1, (line + "\\n").encode())
    dist.destroy_process_group()
"""


@pytest.fixture(autouse=True)
def ranks(image: FakeImage) -> None:
    (image.work / "ranks.py").write_text(RANKS)


@pytest.fixture(scope="module")
def slurm() -> Iterator[dict[str, str]]:
    """What to set to reach a Slurm of two nodes on loopback."""
    programs = ("slurmctld", "slurmd", "munged")
    require(None if all(map(shutil.which, programs)) else "slurm-wlm and munge are not installed")
    require(None if os.geteuid() == 0 else "Slurm's daemons are started by root")
    directory = tempfile.mkdtemp()
    Path(directory).chmod(0o755)
    script = str(ROOT / ".ci/slurm")
    started = subprocess.run([script, "start", directory], stdout=subprocess.PIPE, text=True, check=True)
    yield {"SLURM_CONF": started.stdout.strip()}
    subprocess.run([script, "stop", directory], check=True)
    shutil.rmtree(directory)


def lines(stdout: str) -> list[list[object]]:
    return sorted(json.loads(line) for line in stdout.splitlines())


def outside(image: FakeImage, launcher: list[str], env: dict[str, str]) -> list[list[object]]:
    """Have ``launcher`` start the entrypoint of each rank."""
    argv = [*launcher, *image.argv, "--seed", "42", "--", "python", "ranks.py"]
    done = subprocess.run(
        argv,
        cwd=image.work,
        env=image.environ(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return lines(done.stdout)


def inside(image: FakeImage, launcher: list[str], env: dict[str, str]) -> list[list[object]]:
    """Have the entrypoint start ``launcher``."""
    done = image.run("--seed", "42", "--", *launcher, "python", "ranks.py", env=env)
    assert done.status == 0, done.stderr
    return lines(done.stdout)


def three_ranks(image: FakeImage, source: str, launcher: list[str], env: dict[str, str]) -> None:
    first, second = outside(image, launcher, env), outside(image, launcher, env)
    assert first == second == inside(image, launcher, env)
    assert [line[0] for line in first] == [[f"{source}:{rank}/3", ""] for rank in range(3)]
    numbers = [number for line in first for number in line[1:]]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.slurm
def test_the_tasks_of_srun_are_ranks(image: FakeImage, slurm: dict[str, str]) -> None:
    three_ranks(image, "slurm", ["srun", "-N2", "-n3"], slurm)


@pytest.mark.slurm
def test_a_batch_script_is_no_rank_and_the_tasks_that_it_starts_are(
    image: FakeImage, slurm: dict[str, str]
) -> None:
    script = image.work / "batch.sh"
    script.write_text("#!/bin/sh\npython ranks.py\nsrun python ranks.py\n")
    script.chmod(0o755)
    argv = [*image.argv, "--seed", "42", "--", str(script)]
    (image.work / "submitted.sh").write_text(f"#!/bin/sh\nexec {' '.join(argv)}\n")
    submitted = ["sbatch", "--wait", "-N2", "-n3", "--output=printed", "--error=said", "submitted.sh"]
    subprocess.run(submitted, cwd=image.work, env=image.environ(slurm), stdout=subprocess.DEVNULL, check=True)
    found = lines((image.work / "printed").read_text())
    expected = ["none:0/1", "slurm:0/3", "slurm:1/3", "slurm:2/3"]
    assert [line[0] for line in found] == [[signature, ""] for signature in expected]


def test_the_processes_of_mpirun_are_ranks(image: FakeImage) -> None:
    require(None if shutil.which("mpirun") else "openmpi-bin is not installed")
    three_ranks(image, "openmpi", ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "3"], {})


@pytest.mark.slow
def test_a_training_under_torchrun_repeats(tmp_path: Path, frameworks_python: str) -> None:
    image = make(tmp_path / "frameworks", frameworks_python)
    (image.work / "train.py").write_text(TRAINING)
    launcher = ["python", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    first, second = (lines(image.run("--seed", "42", *launcher, "train.py").stdout) for _ in range(2))
    assert first == second
    (rank, draw, weights), (other_rank, other_draw, other_weights) = first
    assert (rank, other_rank, weights) == (0, 1, other_weights)
    assert draw != other_draw


@pytest.mark.slow
def test_ranks_are_traced_alike_in_two_runs(tmp_path: Path, frameworks_python: str) -> None:
    launcher = ["python", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    traces = []
    for name in ("first", "second"):
        image = make(tmp_path / name, frameworks_python)
        (image.work / "train.py").write_text(TRAINING)
        done = image.run("--seed", "42", "--trace", "ops", *launcher, "train.py")
        assert done.record.trace is not None, done.stderr
        directory = image.out / "records" / done.record.trace.directory
        traces.append({one.path: list(events(directory / one.path)) for one in done.record.trace.files})
    first, second = traces
    assert {"rank-0.trace.gz", "rank-1.trace.gz"} <= set(first)
    assert first == second
