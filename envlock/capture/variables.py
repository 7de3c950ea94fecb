"""Environment variables that decide results: an allow-list, so that no secret can slip in."""

from collections.abc import Mapping

from envlock.capture.cpu import THREAD_VARIABLES

_DETERMINISM = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_LAUNCH_BLOCKING",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_ENABLE_X64",
    "KERAS_BACKEND",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NCCL_ALGO",
    "NCCL_PROTO",
    "NPY_DISABLE_CPU_FEATURES",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_PLACES",
    "OMP_PROC_BIND",
    "OMP_SCHEDULE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "PYTHONHASHSEED",
    "PYTORCH_CUDA_ALLOC_CONF",
    "TF_CUDNN_DETERMINISTIC",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_XLA_FLAGS",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "XLA_FLAGS",
)


def read(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the allow-listed variables that are set, by name. A value with a path in it is left out."""
    names = sorted({*_DETERMINISM, *THREAD_VARIABLES})
    return tuple((name, environ[name]) for name in names if name in environ and _plain(environ[name]))


def _plain(value: str) -> bool:
    return value.isprintable() and "/" not in value and "\\" not in value
