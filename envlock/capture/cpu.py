"""The processor, what of it this process may use, and the numeric libraries that will run on it.

ISA levels are those of the x86-64 psABI, section 3.1.1 ("micro-architecture levels"), by the names
that /proc/cpuinfo gives the features. Cores: the scheduler's affinity, and the CPU bandwidth limit of
the process's control group and of each of its ancestors (cgroups(7); v2 cpu.max, v1 cpu.cfs_*).
"""

import mmap
import os
import re
from collections.abc import Iterable, Mapping
from math import ceil
from pathlib import Path

from envlock.lock.model import Cpu

_LEVELS = (
    ("x86-64-v2", "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"),
    ("x86-64-v3", "abm avx avx2 bmi1 bmi2 f16c fma movbe xsave"),
    ("x86-64-v4", "avx512bw avx512cd avx512dq avx512f avx512vl"),
)
THREAD_VARIABLES = (
    "BLIS_NUM_THREADS",
    "MKL_DYNAMIC",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_DYNAMIC",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)
_NUMERIC = re.compile(
    r"^lib(?:scipy_)?(openblas|mkl_rt|mkl_core|blis|flexiblas|gomp|iomp5|omp|tbb|blas|lapack)"
    r"(?:64_|p|_ilp64)?(?:-[\w.]+?)?\.so(?:\.([0-9.]+))?$"
)
_OPENBLAS = re.compile(rb"OpenBLAS (\d+\.\d+\.\d+(?:\.dev)?)")


def read(machine: str, environ: Mapping[str, str], libraries: Iterable[str], root: Path = Path("/")) -> Cpu:
    """Return the facts. ``libraries``: paths of the libraries that the environment loads or brings."""
    fields = _fields(root)
    return Cpu(
        model=" ".join(fields.get("model name", fields.get("Model", machine)).split()),
        isa=isa(machine, fields.get("flags", "")),
        cores=cores(len(os.sched_getaffinity(0)), root),
        blas=tuple(sorted({named for path in libraries if (named := _numeric(path)) is not None})),
        threads=tuple((name, environ[name]) for name in THREAD_VARIABLES if environ.get(name, "").isalnum()),
    )


def isa(machine: str, flags: str) -> str:
    """Return the highest psABI level whose features, and those of all below it, are in ``flags``."""
    if machine != "x86_64":
        return machine
    level, present = "x86-64-v1", set(flags.split())
    for name, wanted in _LEVELS:
        if not present.issuperset(wanted.split()):
            break
        level = name
    return level


def cores(affinity: int, root: Path = Path("/")) -> int:
    """Return how many cores may be used at once: affinity, cut by the group's bandwidth, at least 1."""
    limits = (ceil(limit) for limit in _bandwidths(root))
    return max(1, min((affinity, *limits)))


def _bandwidths(root: Path) -> Iterable[float]:
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        names = controllers.split(",")
        if controllers and "cpu" not in names:
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        place = top / path.lstrip("/")
        while place != top.parent:
            limit = _bandwidth(place)
            if limit is not None:
                yield limit
            place = place.parent


def _bandwidth(place: Path) -> float | None:
    """Return quota divided by period of one control group, None when it has no limit."""
    words = _text(place / "cpu.max").split()
    if not words:
        words = [_text(place / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    quota, period = (*words, "", "")[:2]
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _numeric(path: str) -> str | None:
    """Return ``openblas 0.3.30`` for a BLAS or OpenMP library, None for any other file."""
    named = _NUMERIC.match(os.path.basename(path))
    if named is None:
        return None
    version = named.group(2) or ""
    if named.group(1) == "openblas":
        # Its file name carries no version; its own configuration text does.
        version = _openblas_version(path) or version
    else:
        resolved = _NUMERIC.match(os.path.basename(os.path.realpath(path)))
        version = (resolved.group(2) if resolved else None) or version
    return f"{named.group(1)} {version}".strip()


def _openblas_version(path: str) -> str | None:
    try:
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = _OPENBLAS.search(data)
            return found.group(1).decode() if found else None
    except (OSError, ValueError):
        return None


def _fields(root: Path) -> dict[str, str]:
    """Return the first processor's lines of /proc/cpuinfo."""
    first = _text(root / "proc/cpuinfo").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
