"""Environment variables that decide results: an allow-list, so that no secret can slip in.

A value with a path or a control character in it is left out, and a gap says so: it may name a home
directory, and what it points to is not captured.
"""

from collections.abc import Iterator, Mapping

from envlock.capture.cpu import THREAD_VARIABLES
from envlock.lock.model import Gap

_DETERMINISM = (
    "ATEN_CPU_CAPABILITY",
    "BLIS_ARCH_TYPE",
    "CUBLASLT_WORKSPACE_SIZE",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_DEVICE_ORDER",
    "CUDA_LAUNCH_BLOCKING",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "FLAGS_cudnn_deterministic",
    "GOMP_CPU_AFFINITY",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_DEFAULT_PRNG_IMPL",
    "JAX_ENABLE_X64",
    "JAX_PLATFORMS",
    "JAX_THREEFRY_PARTITIONABLE",
    "KERAS_BACKEND",
    "KMP_AFFINITY",
    "KMP_DETERMINISTIC_REDUCTION",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_INTERFACE_LAYER",
    "MKL_THREADING_LAYER",
    "NCCL_ALGO",
    "NCCL_MAX_NCHANNELS",
    "NCCL_MIN_NCHANNELS",
    "NCCL_NTHREADS",
    "NCCL_NVLS_ENABLE",
    "NCCL_PROTO",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "NUMBA_CPU_FEATURES",
    "NUMBA_CPU_NAME",
    "NUMBA_DISABLE_JIT",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_MAX_ACTIVE_LEVELS",
    "OMP_PLACES",
    "OMP_PROC_BIND",
    "OMP_SCHEDULE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "PYTHONHASHSEED",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "TF_CUDNN_DETERMINISTIC",
    "TF_CUDNN_USE_AUTOTUNE",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_XLA_FLAGS",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "XLA_FLAGS",
)
_NAMES = tuple(sorted({*_DETERMINISM, *THREAD_VARIABLES}))


def read(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the allow-listed variables that are set, by name."""
    return tuple((name, environ[name]) for name in _NAMES if name in environ and _plain(environ[name]))


def left_out(environ: Mapping[str, str]) -> Iterator[Gap]:
    """Yield a gap for each allow-listed variable whose value is not recorded."""
    for name in _NAMES:
        if name in environ and not _plain(environ[name]):
            yield Gap(subject=name, reason="it was set; its value names a path and was left out")


def _plain(value: str) -> bool:
    return value.isprintable() and "/" not in value and "\\" not in value
