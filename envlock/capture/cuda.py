"""CUDA libraries that the environment brings, loads or would find, with versions and where they are from.

Rules kept here:

* Looked at: the environment's own libraries, the closure of what it loads, and the directories of
  LD_LIBRARY_PATH, where frameworks open CUDA's libraries by name and which go before a wheel's RUNPATH.
* The version is that of the package that is only this library: NVIDIA's own wheel, conda's or the
  system's package. A framework's wheel says nothing of the copies in it, nor does a toolkit's directory
  without ``version.json``: then the file's name tells, and NCCL's own text.
* The parts that cuDNN and TensorRT are split into count as one library where they have one version.
* No framework is imported and nothing is loaded. The driver's own libraries are no part of an environment.
"""

import json
import mmap
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from envlock.capture.owners import UNOWNED, Owners
from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import CudaLibrary

_NAMED = re.compile(
    r"^lib(cublas|cublasLt|cudart|cudnn(?:_[a-z_]+)?|cudss|cufft|cufftw|cufile|cufile_rdma|cupti|curand|cusolver"
    r"|cusolverMg|cusparse|cusparseLt|custatevec|cutensor|cutensorMg|cutensornet|nccl|npp[a-z]+|nvblas|nvfatbin"
    r"|nvJitLink|nvToolsExt|nvinfer(?:_[a-z_]+)?|nvjpeg|nvonnxparser|nvrtc|nvrtc-builtins|nvshmem_host)"
    # Copies that were put into a wheel have a hash in the name: auditwheel's behind "-", torchvision's ".".
    r"(?:[-.][0-9a-f]{8})?\.so(?:\.([0-9.]+))?$"
)
# Parts of one library, by how their names begin.
_WHOLE = (
    ("cudnn_", "cudnn"),
    ("nvinfer_", "nvinfer"),
    ("npp", "npp"),
    ("cufftw", "cufft"),
    ("cufile_", "cufile"),
    ("nvrtc-", "nvrtc"),
)
# Wheels that are one library of NVIDIA's; others only bundle some.
_NVIDIA = re.compile(r"nvidia-|tensorrt|cutensor-|custatevec-|cutensornet-|nvshmem")
_NCCL = re.compile(rb"NCCL version ([0-9]+\.[0-9]+\.[0-9]+)")
_TOOLKIT_DEPTH = 4


def read(
    libraries: Iterable[str],
    owners: Owners,
    distributions: Iterable[InstalledDistribution],
    environ: Mapping[str, str],
) -> tuple[CudaLibrary, ...]:
    """Return each CUDA library among the files ``libraries`` and on LD_LIBRARY_PATH.

    Each once per name, version and origin (``wheel:NAME``, ``conda:NAME``, ``os:NAME``, ``toolkit:VERSION``
    or ``unowned``).
    """
    places = {*libraries, *_on_library_path(environ)}
    named = [(path, match) for path in sorted(places) if (match := _NAMED.match(os.path.basename(path)))]
    if not named:
        return ()
    wheels = {one.name: one.version for one in distributions}
    found = {_described(path, match.group(1), owners, wheels) for path, match in named}
    return tuple(
        CudaLibrary(name=name, version=version, origin=origin) for name, version, origin in sorted(found)
    )


def _on_library_path(environ: Mapping[str, str]) -> Iterable[str]:
    for directory in environ.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":"):
        if directory.startswith("/"):
            yield from (f"{directory.rstrip('/')}/{name}" for name in _names(directory) if _NAMED.match(name))


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _described(path: str, name: str, owners: Owners, wheels: Mapping[str, str]) -> tuple[str, str, str]:
    """Return name, version and origin."""
    real = os.path.realpath(path)
    origin = owners.of(path)
    version = _packaged(path, origin, owners, wheels)
    if origin == UNOWNED and (toolkit := _toolkit(real)) is not None:
        root, versions = toolkit
        origin = f"toolkit:{root}"
        version = version or versions.get(f"lib{name}".lower()) or versions.get(f"cuda_{name}".lower())
    whole = next((short for start, short in _WHOLE if name.startswith(start)), name)
    return whole, version or _own_version(real, name) or _named_version(path), origin


def _packaged(path: str, origin: str, owners: Owners, wheels: Mapping[str, str]) -> str | None:
    """Return the version of the package, where it is the library's."""
    kind, _, name = origin.partition(":")
    if kind == "wheel":
        return wheels.get(name) if _NVIDIA.match(name) else None
    if kind == "conda":
        conda = owners.conda.owner(path)
        # PyTorch's conda package brings NCCL in itself, as its wheel does.
        return conda.version if conda is not None and not name.startswith("pytorch") else None
    if kind == "os":
        owner = owners.database.owner(os.path.realpath(path)) or owners.database.owner(path)
        return owner.version if owner is not None else None
    return None


def toolkit_files(directories: Iterable[str]) -> set[str]:
    """Return the files that would tell of a toolkit for libraries in ``directories``, there or not."""
    found = set()
    for directory in directories:
        for _ in range(_TOOLKIT_DEPTH):
            found.add(f"{directory.rstrip('/')}/version.json")
            directory = os.path.dirname(directory)  # noqa: PLW2901 (upwards)
    return found


def _toolkit(path: str) -> tuple[str, Mapping[str, str]] | None:
    """Return version and parts of the CUDA toolkit that ``path`` lies in, None where it lies in none."""
    directory = os.path.dirname(path)
    for _ in range(_TOOLKIT_DEPTH):
        if (found := _toolkit_at(directory)) is not None:
            return found
        directory = os.path.dirname(directory)
    return None


@cache
def _toolkit_at(directory: str) -> tuple[str, Mapping[str, str]] | None:
    try:
        parts = json.loads(Path(directory, "version.json").read_bytes())
        versions = {key.lower(): str(part["version"]) for key, part in parts.items()}
        return versions["cuda"], versions
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return None


def _own_version(path: str, name: str) -> str:
    """Return the version in the file's name, or what an NCCL says of itself where the name has one number."""
    version = _named_version(path)
    if name != "nccl" or "." in version:
        return version
    try:
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = _NCCL.search(data)
            return found.group(1).decode() if found else version
    except (OSError, ValueError):
        return version


def _named_version(path: str) -> str:
    match = _NAMED.match(os.path.basename(path))
    return (match.group(2) or "") if match else ""
