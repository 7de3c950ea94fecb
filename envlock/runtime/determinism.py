"""Which environment variables make a job's arithmetic the same, and who may change them.

Pure rules. Two sets: :func:`image_environment` is baked into the image's configuration, so that it
holds under ``--entrypoint``, Slurm and Kubernetes too; :func:`resolve` is how the entrypoint replaces
the baked values by those of the manifest while it keeps what the user set.

Each variable, who needs it, and where it is known from (docs/runtime.md has the measurements):

- PYTHONHASHSEED: order of sets and of ``hash()``; must be there before Python starts.
- OMP/OPENBLAS/MKL/NUMEXPR_NUM_THREADS: a reduction's order is its number of threads. MKL_DYNAMIC and
  OMP_DYNAMIC off: else 4 threads silently become 2 on 2 cores.
- TF_NUM_INTRAOP_THREADS, TF_NUM_INTEROP_THREADS: TensorFlow ignores OMP_NUM_THREADS.
- POLARS_MAX_THREADS=1: with two threads, sums of groups differ from run to run (polars issue 6157; measured
  with 2.1).
- TF_ENABLE_ONEDNN_OPTS=1: TensorFlow's x86 default, made explicit; more operations (38 of 40) agree
  between CPUs with it than without (35).
- ATEN_CPU_CAPABILITY, ONEDNN_MAX_CPU_ISA, OPENBLAS_CORETYPE, NPY_DISABLE_CPU_FEATURES: kernels by the
  x86-64-v3 paths that every such CPU has. OPENBLAS_L2_SIZE (KiB, a Haswell's; OpenBLAS pull request 4609):
  0.3.34 cuts products by the size of an AMD CPU's cache, for its AVX-512 kernels, whichever were chosen
  (issue 6021): others crash, or add in another order. MKL_CBWR=COMPATIBLE is the only mode that acts alike on
  Intel and AMD by itself (it costs 2 to 3 times in matrix products); where ENVLOCK_MKL names the
  image's library, torch is put on MKL's AVX2 branch instead (frameworks/mkl.py).
- XLA_FLAGS is left alone where TensorFlow is installed: a flag that its XLA does not know ends it.
- CUBLAS_WORKSPACE_CONFIG, NVIDIA_TF32_OVERRIDE, NCCL_*: workspaces, TF32 and reduction order on GPUs.
- TF_DETERMINISTIC_OPS is *not* baked: with it every unseeded random operation raises, and under
  ``--entrypoint`` nothing seeds. The import hook turns it on after seeding instead.
"""

from __future__ import annotations

import re

from envlock.runtime.errors import InputError
from envlock.runtime.layout import Layout
from envlock.runtime.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

HASH_SEED = "PYTHONHASHSEED"
# What a job pays for in speed, on a GPU or with Polars.
_COSTLY = (
    "CUBLAS_WORKSPACE_CONFIG",
    "NCCL_ALGO",
    "NCCL_NVLS_ENABLE",
    "NCCL_PROTO",
    "NVIDIA_TF32_OVERRIDE",
    "POLARS_MAX_THREADS",
)
_X86 = ("x86_64", "amd64", "AMD64")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_TENSORFLOW = ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tf-nightly", "intel-tensorflow")
_OPENBLAS = ("numpy", "scipy", "jax")
_POLARS = ("polars", "polars-lts-cpu", "polars-u64-idx")
_MKL = ("torch", "mkl", "intel-numpy")
_IMAGE = Layout()

# The names that NumPy's wheels dispatch on, read from __cpu_dispatch__ of 1.26.4, 2.0.2, 2.2.6, 2.3.5
# and 2.4.6. Unknown names only raise an ImportWarning and are then ignored: hence one list a version.
_NUMPY_FEATURES = (
    ((2, 4), "X86_V4 AVX512_ICL AVX512_SPR"),
    ((2, 3), "AVX512F AVX512CD AVX512_KNL AVX512_KNM AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"),
    ((0, 0), "AVX512F AVX512CD AVX512_KNL AVX512_KNM AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"),
)
# --xla_cpu_max_isa was added to XLA in December 2024; jaxlib 0.5 is the first minor with it.
_JAXLIB_WITH_ISA_FLAG = (0, 5)


class Resolution(Value):
    """What the job's determinism variables become. Pairs are sorted by name."""

    values: tuple[tuple[str, str], ...]
    """In force: replaced, kept or unchanged."""
    removed: tuple[str, ...]
    """Baked, and not wanted for this run (``cpu.isa: native`` takes the ISA pins away)."""
    kept: tuple[tuple[str, str, str], ...]
    """(name, the user's value, the value that envlock wanted or "")."""


def default_isa(machine: str) -> str:
    """Return ``portable`` on x86-64, ``native`` elsewhere: the profile is made of x86 instructions."""
    return "portable" if machine in _X86 else "native"


def image_environment(
    *, threads: int, isa: str, packages: Mapping[str, str], machine: str, layout: Layout = _IMAGE
) -> dict[str, str]:
    """Return the variables that are baked into an image's configuration, sorted by name.

    ``threads`` is the fixed thread count, ``isa`` portable or native, ``packages`` maps normalised
    names to versions, ``machine`` is the kernel's name of the CPU (``x86_64``). Raises InputError for
    ``portable`` elsewhere than on x86-64.
    """
    if isa == "portable" and machine not in _X86:
        raise InputError(
            "cpu.isa: portable is a profile of x86-64 instructions",
            expected="x86_64",
            found=machine,
            hint="use `cpu: {isa: native}` on this machine",
        )
    made = {HASH_SEED: "0", "MKL_DYNAMIC": "FALSE", "OMP_DYNAMIC": "FALSE"}
    made.update((name, str(threads)) for name in _THREADS)
    if _any(_TENSORFLOW, packages):
        made["TF_NUM_INTRAOP_THREADS"] = made["TF_NUM_INTEROP_THREADS"] = str(threads)
        made["TF_ENABLE_ONEDNN_OPTS"] = "1"
    if _any(_POLARS, packages):
        made["POLARS_MAX_THREADS"] = "1"
    if isa == "portable":
        made.update(_portable(packages, layout))
    if _uses_cuda(packages):
        made.update(_cuda(packages))
    return dict(sorted(made.items()))


def job_environment(
    *,
    level: str,
    threads: int,
    isa: str,
    packages: Mapping[str, str],
    machine: str,
    hash_seed: int,
    layout: Layout = _IMAGE,
) -> dict[str, str]:
    """Return the variables that a run wants: those of the image for its threads, isa and hash seed.

    Under the level ``none`` nothing that costs speed is asked for; ``warn`` and ``strict`` want
    the same variables and differ in what the import hook and :func:`resolve`'s caller do.
    """
    made = image_environment(threads=threads, isa=isa, packages=packages, machine=machine, layout=layout)
    if level == "none":
        made = {name: value for name, value in made.items() if name not in _COSTLY}
    made[HASH_SEED] = str(hash_seed)
    return made


def resolve(environ: Mapping[str, str], baked: Mapping[str, str], wanted: Mapping[str, str]) -> Resolution:
    """Return the job's determinism variables.

    A variable that equals its baked value (or, like it, is not there) was not touched by the user and
    takes the wanted value. Any other was set by the user: it is kept, and told where it differs.
    """
    values: dict[str, str] = {}
    removed: list[str] = []
    kept: list[tuple[str, str, str]] = []
    for name in sorted({*baked, *wanted}):
        found, aim = environ.get(name), wanted.get(name)
        if found is not None and found != baked.get(name):
            values[name] = found
            if found != aim:
                kept.append((name, found, aim or ""))
        elif aim is not None:
            values[name] = aim
        else:
            removed.append(name)
    return Resolution(tuple(sorted(values.items())), tuple(removed), tuple(kept))


def _portable(packages: Mapping[str, str], layout: Layout) -> dict[str, str]:
    made = {}
    if _any(_OPENBLAS, packages):
        made["OPENBLAS_CORETYPE"] = "Haswell"
        made["OPENBLAS_L2_SIZE"] = "256"
    if "numpy" in packages:
        version = _version(packages["numpy"])
        made["NPY_DISABLE_CPU_FEATURES"] = next(names for least, names in _NUMPY_FEATURES if version >= least)
    if "torch" in packages:
        made["ATEN_CPU_CAPABILITY"] = "avx2"
        made["ENVLOCK_MKL"] = layout.mkl
    if "torch" in packages or _any(_TENSORFLOW, packages):
        made["ONEDNN_MAX_CPU_ISA"] = "AVX2"
    if _any(_MKL, packages):
        made["MKL_CBWR"] = "COMPATIBLE"
    if _version(packages.get("jaxlib", "0")) >= _JAXLIB_WITH_ISA_FLAG and not _any(_TENSORFLOW, packages):
        made["XLA_FLAGS"] = "--xla_cpu_max_isa=AVX2"
    return made


def _cuda(packages: Mapping[str, str]) -> dict[str, str]:
    made = {
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        "NVIDIA_TF32_OVERRIDE": "0",
    }
    if "torch" in packages or _any(_TENSORFLOW, packages) or "jax" in packages:
        made.update(NCCL_ALGO="Ring", NCCL_NVLS_ENABLE="0", NCCL_PROTO="Simple")
    return made


def _uses_cuda(packages: Mapping[str, str]) -> bool:
    if any(name.startswith(("nvidia-", "cupy", "jax-cuda")) and name != "nvidia-ml-py" for name in packages):
        return True
    # A torch without a local version is the index's CUDA build; TensorFlow's CPU build has a name of its own.
    torch_on_gpu = "torch" in packages and not packages["torch"].endswith("+cpu")
    return torch_on_gpu or "tensorflow" in packages


def _any(names: tuple[str, ...], packages: Mapping[str, str]) -> bool:
    return any(name in packages for name in names)


def _version(text: str) -> tuple[int, int]:
    found = re.match(r"(\d+)(?:\.(\d+))?", text)
    return (int(found.group(1)), int(found.group(2) or 0)) if found else (0, 0)
