"""``cpu: {isa: portable}``: one seed gives the same bits on this machine and on emulated CPUs.

QEMU computes with the host's seed and image but tells another CPU to the libraries, and rounds the
hardware's reciprocal estimates as no real CPU does: what starts from one differs. It emulates no
AVX-512; this machine, where it has that, is the one that shows AVX-512 kernels are not taken.
"""

import ctypes
import json
import subprocess
from pathlib import Path

import pytest

from envlock.image import mkl
from envlock.runtime import determinism
from envlock.runtime.layout import Layout
from tests.runtime.conftest import FakeImage, make

JOBS = Path(__file__).parent / "jobs"
CPUS = ("Haswell", "EPYC")
PACKAGES = {"torch": "2.13.0+cpu", "numpy": "2.4.6", "scipy": "1.17", "tensorflow-cpu": "2.21.0"}


def test_the_library_answers_mkls_questions(tmp_path: Path) -> None:
    path = tmp_path / "libenvlock-mkl.so"
    path.write_bytes(mkl.library())
    loaded = ctypes.CDLL(str(path))
    assert (loaded.mkl_serv_intel_cpu_true(), loaded.mkl_vml_serv_cpu_detect()) == (1, 1)
    assert not hasattr(loaded, "mkl_serv_cbwr_set")


@pytest.fixture
def image(tmp_path: Path, frameworks_python: str) -> FakeImage:
    """An image of the frameworks, with what a build bakes into its configuration."""
    made = make(tmp_path / "image", frameworks_python)
    layout = Layout(root=str(made.root / "envlock"))
    baked = determinism.image_environment(
        threads=2, isa="portable", packages=PACKAGES, machine="x86_64", layout=layout
    )
    made.describe(env=baked, packages=PACKAGES)
    return made


def start(image: FakeImage, job: str, *emulator: str) -> subprocess.Popen[str]:
    """Start a job as a process of a run; what its children would start is not emulated."""
    return subprocess.Popen(
        [*emulator, image.python, str(JOBS / f"{job}.py")],
        env=image.environ({"ENVLOCK_RUN": "run", "ENVLOCK_SEED": "42", "ENVLOCK_DETERMINISM": "warn"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def hashes(process: subprocess.Popen[str]) -> dict[str, str]:
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr
    assert "envlock:" not in stderr
    found: dict[str, str] = json.loads(stdout)
    return found


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("job", ["portable_torch", "portable_numpy"])
def test_one_seed_gives_the_same_bits_on_every_cpu(image: FakeImage, job: str) -> None:
    emulated = {cpu: start(image, job, "qemu-x86_64", "-cpu", cpu) for cpu in CPUS}
    here = hashes(start(image, job))
    assert here
    for cpu, process in emulated.items():
        assert hashes(process) == here, cpu


@pytest.mark.slow
def test_without_the_library_torch_keeps_the_slow_branch_and_says_so(image: FakeImage) -> None:
    done = image.job(
        "import torch; torch.rand(9).sqrt()", env={"ENVLOCK_MKL": str(image.tmp / "not-there.so")}
    )
    assert done.status == 0
    assert "keeps MKL_CBWR=COMPATIBLE" in done.stderr
    (gap,) = (one for one in done.record.gaps if "MKL_CBWR" in one.reason)
    assert "not-there.so" in gap.reason
