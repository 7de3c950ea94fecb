"""``cpu: {isa: portable}``: one seed gives the same bits on this machine and on emulated CPUs.

QEMU computes with the host's seed and image but tells another CPU to the libraries, and rounds the
hardware's reciprocal estimates as no real CPU does: what starts from one differs. It emulates no
AVX-512; this machine, where it has that, is the one that shows AVX-512 kernels are not taken, and can
show itself as AMD's (amd_with_avx512.c).
"""

import ctypes
import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import distribution
from pathlib import Path
from types import MappingProxyType

import pytest

from envlock.image import mkl
from envlock.runtime import determinism
from envlock.runtime.layout import Layout
from tests.runtime.conftest import FakeImage, make

JOBS = Path(__file__).parent / "jobs"
CPUS = ("Haswell", "EPYC")
NOT_POSSIBLE = 77  # amd_with_avx512.c
PACKAGES = {"torch": "2.13.0+cpu", "numpy": "2.4.6", "scipy": "1.17", "tensorflow-cpu": "2.21.0"}


def test_the_library_answers_mkls_questions(tmp_path: Path) -> None:
    path = tmp_path / "libenvlock-mkl.so"
    path.write_bytes(mkl.library())
    loaded = ctypes.CDLL(str(path))
    asked = (ctypes.c_ubyte * 2).in_dll(loaded, "envlock_mkl_asked")
    assert tuple(asked) == (0, 0)
    assert (loaded.mkl_vml_serv_cpu_detect(), tuple(asked)) == (1, (0, 1))
    assert (loaded.mkl_serv_intel_cpu_true(), loaded.mkl_vml_serv_cpu_detect()) == (1, 1)
    assert tuple(asked) == (1, 1)
    assert not hasattr(loaded, "mkl_serv_cbwr_set")


# TensorFlow, simulated in the places that are replaced: floats for tensors.
FAKE_TENSORFLOW = {
    "__init__": """
import math as plain
from types import SimpleNamespace
from tensorflow.python.ops import gen_math_ops, math_ops
called = []
convert_to_tensor = float
divide = lambda x, y, name=None: x / y
multiply = lambda x, y, name=None: x * y
math = SimpleNamespace(
    sqrt=plain.sqrt,
    erf=plain.erf,
    erfc=gen_math_ops.erfc,
    rsqrt=math_ops.rsqrt,
    reciprocal=math_ops.reciprocal,
)
nn = SimpleNamespace(gelu=lambda features, approximate, name: (features, approximate, name))
random = SimpleNamespace(
    __name__="tensorflow.random",
    set_seed=lambda seed: called.append("seeded"),
    Generator=type("Generator", (), {"from_non_deterministic_state": dict}),
    get_global_generator=dict,
    experimental=SimpleNamespace(),
)
config = SimpleNamespace(
    experimental=SimpleNamespace(enable_op_determinism=lambda: called.append("deterministic")),
    optimizer=SimpleNamespace(set_experimental_options=called.append),
)
""",
    "python/__init__": "",
    "python/ops/__init__": "",
    "python/ops/gen_math_ops": """
def rsqrt(x, name=None): return "estimated"
def reciprocal(x, name=None): return "estimated"
def atan(x): return x
def atan2(x, y): return x
def erfc(x): return x
def erfinv(x): return x
""",
    "python/ops/gen_nn_ops": "def fused_batch_norm_v2(x): return x\ndef fused_batch_norm_v3(x): return x\n",
    "python/ops/stateful_random_ops": "get_global_generator = None",
    "python/ops/math_ops": """
from tensorflow.python.ops import gen_math_ops
from tensorflow.python.ops.gen_math_ops import *
def rsqrt(x, name=None): return gen_math_ops.rsqrt(x, name)
""",
}
FAKE_JOB = """
import tensorflow as tf
print(tf.math.rsqrt(4.0), tf.math.reciprocal(4.0), tf.math.erfc(1), tf.math.erfc(2))
print(tf.nn.gelu(1.0), tf.nn.gelu(1.0, True, "name"))
print(tf.called)
"""


def simulate_tensorflow(image: FakeImage) -> None:
    for name, code in FAKE_TENSORFLOW.items():
        path = image.packages / "tensorflow" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)


def test_under_portable_tensorflow_estimates_nothing_and_tells_the_rest(plain_image: FakeImage) -> None:
    simulate_tensorflow(plain_image)
    done = plain_image.job(FAKE_JOB)
    numbers, gelu, called = done.stdout.splitlines()
    assert numbers == "0.5 0.25 1 2"
    assert gelu == f"{0.5 * (1 + math.erf(math.sqrt(0.5)))} (1.0, True, 'name')"
    assert (
        called == "['seeded', 'deterministic', {'arithmetic_optimization': False, 'constant_folding': False}]"
    )
    assert [one.subject for one in done.record.gaps if "tensorflow" in one.subject] == ["tensorflow erfc"]
    assert done.stderr.count("envlock: tensorflow erfc: ") == 1
    assert "erfc" not in plain_image.job(FAKE_JOB, "--quiet").stderr


def test_under_native_tensorflow_is_left_as_it_is(plain_image: FakeImage) -> None:
    simulate_tensorflow(plain_image)
    (plain_image.work / "run.yaml").write_text("envlock: 1\ncpu: {isa: native}\n")
    code = "import tensorflow as tf; print(tf.math.rsqrt(4.0), tf.called)"
    done = plain_image.job(code, "--manifest", str(plain_image.work / "run.yaml"))
    assert done.stdout == "estimated ['seeded', 'deterministic']\n"


@pytest.fixture
def plain_image(tmp_path: Path) -> FakeImage:
    return make(tmp_path / "plain", sys.executable)


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


def start(
    image: FakeImage, job: str, *emulator: str, environ: Mapping[str, str] = MappingProxyType({})
) -> subprocess.Popen[str]:
    """Start a job as a process of a run; what its children would start is not emulated."""
    return subprocess.Popen(
        [*emulator, image.python, str(JOBS / f"{job}.py")],
        env=image.environ(
            {
                "ENVLOCK_RUN": "run",
                "ENVLOCK_SEED": "42",
                "ENVLOCK_DETERMINISM": "warn",
                "ENVLOCK_ISA": "portable",
                **environ,
            }
        ),
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
@pytest.mark.parametrize("job", ["portable_torch", "portable_numpy", "portable_keras"])
def test_one_seed_gives_the_same_bits_on_every_cpu(image: FakeImage, job: str) -> None:
    emulated = {cpu: start(image, job, "qemu-x86_64", "-cpu", cpu) for cpu in CPUS}
    here = hashes(start(image, job))
    assert here
    for cpu, process in emulated.items():
        assert hashes(process) == here, cpu


def is_amd_with_avx512() -> bool:
    text = Path("/proc/cpuinfo").read_text()
    return "AuthenticAMD" in text and "avx512f" in text


@pytest.fixture
def amd_with_avx512(shared_library: Callable[..., Path]) -> dict[str, str]:
    """The variables under which a program sees such a CPU; none where this machine has one."""
    if is_amd_with_avx512():
        return {}
    text = (Path(__file__).parent / "amd_with_avx512.c").read_text()
    environ = {"LD_PRELOAD": str(shared_library("libamd-with-avx512.so", text))}
    if subprocess.run(["true"], env=environ, check=False).returncode == NOT_POSSIBLE:
        pytest.skip("this CPU has no AVX-512, or can't be kept from telling programs what it is")
    return environ


@pytest.mark.slow
@pytest.mark.parametrize("job", ["portable_torch", "portable_numpy", "portable_keras"])
def test_one_seed_gives_the_same_bits_on_an_amd_cpu_with_avx512(
    image: FakeImage, job: str, amd_with_avx512: dict[str, str]
) -> None:
    if not amd_with_avx512:
        pytest.skip("this machine has such a CPU, and is compared with emulated ones above")
    there = start(image, job, environ=amd_with_avx512)
    here = hashes(start(image, job))
    assert here
    assert hashes(there) == here


# Inner size 700: in 0.3.34's blocks for AVX-512 Haswell's kernel writes 36 KB beyond its buffer.
PRODUCT = """
import ctypes, hashlib, random, sys
size = 700
numbers = random.Random(1)
matrix = (ctypes.c_double * size**2)(*(numbers.random() for _ in range(size**2)))
product = (ctypes.c_double * size**2)()
long, one, zero = ctypes.c_int64(size), ctypes.c_double(1), ctypes.c_double(0)
dgemm = ctypes.CDLL(sys.argv[1]).scipy_cblas_dgemm64_
dgemm(101, 111, 111, long, long, long, one, matrix, long, matrix, long, zero, product, long)
print(hashlib.sha256(product).hexdigest())
"""


def test_openblas_cuts_products_alike_on_an_amd_cpu_with_avx512(amd_with_avx512: dict[str, str]) -> None:
    library = distribution("scipy-openblas64").locate_file("scipy_openblas64/lib/libscipy_openblas64_.so")

    def product(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", PRODUCT, str(library)]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    baked = determinism.image_environment(
        threads=1, isa="portable", packages={"numpy": "2.5.5"}, machine="x86_64", layout=Layout()
    )
    here, there = product(baked), product({**baked, **amd_with_avx512})
    assert (here.returncode, there.returncode) == (0, 0)
    assert here.stdout == there.stdout != ""
    # The fault that the variable avoids is there without it.
    unset = {name: value for name, value in baked.items() if name != "OPENBLAS_L2_SIZE"}
    assert product({**unset, **amd_with_avx512}).returncode == -signal.SIGSEGV


@pytest.mark.slow
def test_without_the_library_torch_keeps_the_slow_branch_and_says_so(image: FakeImage) -> None:
    done = image.job(
        "import torch; torch.rand(9).sqrt()", env={"ENVLOCK_MKL": str(image.tmp / "not-there.so")}
    )
    assert done.status == 0
    assert "keeps MKL_CBWR=COMPATIBLE" in done.stderr
    (gap,) = (one for one in done.record.gaps if "MKL_CBWR" in one.reason)
    assert "not-there.so" in gap.reason


@pytest.mark.slow
def test_an_mkl_that_asks_another_library_is_told(image: FakeImage) -> None:
    other = image.tmp / "other.so"
    other.write_bytes(mkl.library())
    done = image.job("import torch; torch.rand(9).sqrt()", env={"LD_PRELOAD": str(other)})
    assert done.status == 0
    (gap,) = (one for one in done.record.gaps if "on another CPU" in one.reason)
    assert "mkl_serv_intel_cpu_true and mkl_vml_serv_cpu_detect from elsewhere" in gap.reason
    assert "on another CPU" not in image.job("import torch").stderr


UNREPLACED = """
import tensorflow as tf
x = tf.constant([0.25, 0.5])
for _ in range(2):
    tf.math.erfinv(x)
"""


@pytest.mark.slow
def test_tensorflow_tells_what_it_cannot_compute_alike_on_every_cpu(image: FakeImage) -> None:
    done = image.job(UNREPLACED)
    assert done.status == 0
    assert done.stderr.count("envlock: tensorflow erfinv: ") == 1
    (gap,) = (one for one in done.record.gaps if one.subject == "tensorflow erfinv")
    assert "job.py:5: " in gap.reason


@pytest.mark.slow
def test_tensorflow_portable_agrees_with_its_own_functions(image: FakeImage) -> None:
    """Value and gradient, beside the kernels that are replaced (``raw_ops``, and GELU's definition)."""
    code = """
import numpy as np, tensorflow as tf
x = tf.Variable(np.random.rand(64).astype("float32") + 0.1)
erf = tf.math.erf
for ours, theirs in (
    (tf.math.rsqrt, lambda v: tf.raw_ops.Rsqrt(x=v)),
    (tf.math.reciprocal, lambda v: tf.raw_ops.Reciprocal(x=v)),
    (tf.nn.gelu, lambda v: 0.5 * v * tf.raw_ops.Erfc(x=-v * 0.70710678)),
):
    with tf.GradientTape(persistent=True) as tape:
        values = ours(x), theirs(x)
    gradients = [tape.gradient(value, x).numpy() for value in values]
    np.testing.assert_allclose(values[0].numpy(), values[1].numpy(), rtol=1e-6)
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-6)
print("agree")
"""
    done = image.job(code)
    assert done.stdout == "agree\n", done.stderr
