"""The processor, and what of it this process may use.

On a hybrid processor the features are those that every core has, and the model names each kind.

ISA levels are those of the x86-64 psABI, section 3.1.1 ("micro-architecture levels"), by the names
that /proc/cpuinfo gives the features.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from envlock.lock.model import Cpu
from envlock.runtime import limits

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
# Features by which numeric libraries (BLAS, oneDNN, MKL, XLA, NumPy) choose kernels of other roundings.
_DECIDING = re.compile(
    r"pni|ssse3|sse4_[12]|avx\w*|fma4?|f16c|xop|amx_\w+"  # x86
    r"|asimd\w*|fphp|fcma|bf16|ebf16|i8mm|sve\w*|sme(?!p$)\w*"  # Arm
)
# MIDR_EL1 implementer codes, which Linux on Arm gives instead of a name.
_ARM = {
    "0x41": "ARM",
    "0x43": "Cavium",
    "0x46": "Fujitsu",
    "0x48": "HiSilicon",
    "0x4e": "NVIDIA",
    "0x51": "Qualcomm",
    "0x61": "Apple",
    "0x6d": "Microsoft",
    "0xc0": "Ampere",
}


def read(machine: str, environ: Mapping[str, str], root: Path = Path("/")) -> Cpu:
    """Return the facts, all but the numeric libraries, which belong to an environment."""
    processors = _processors(root)
    shared = _shared(processors)
    return Cpu(
        model=_model(processors) or machine,
        isa=isa(machine, " ".join(shared)),
        cores=limits.cores(len(os.sched_getaffinity(0)), str(root)),
        vendor=" + ".join(_distinct(map(_vendor, processors))),
        flags=tuple(sorted(flag for flag in shared if _DECIDING.fullmatch(flag))),
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


def _processors(root: Path) -> list[dict[str, str]]:
    """Return the fields of each processor in /proc/cpuinfo; those of no processor are of all."""
    sections = _text(root / "proc/cpuinfo").strip().split("\n\n")
    pairs = ([line.partition(":") for line in section.splitlines()] for section in sections)
    fields = [{name.strip(): value.strip() for name, _, value in section} for section in pairs]
    general = {key: value for one in fields if "processor" not in one for key, value in one.items()}
    each = [{**general, **one} for one in fields if "processor" in one]
    return each or ([general] if general else [])


def _shared(processors: Iterable[Mapping[str, str]]) -> set[str]:
    """Return the features that every processor has: a thread may be moved to any of a hybrid's cores."""
    sets = [set(one.get("flags", one.get("Features", "")).split()) for one in processors]
    return set.intersection(*sets) if sets else set()


def _model(processors: Iterable[Mapping[str, str]]) -> str:
    """Return the name; of a hybrid each kind's, in the order of the processors."""
    return " + ".join(_distinct(map(_name, processors)))


def _name(fields: Mapping[str, str]) -> str:
    named = next((fields[key] for key in ("model name", "cpu model", "cpu", "uarch") if fields.get(key)), "")
    if not named and "CPU part" in fields:
        named = f"{_vendor(fields)} part {fields['CPU part']}"
    return " ".join((named or fields.get("Model", "")).split())


def _vendor(fields: Mapping[str, str]) -> str:
    code = fields.get("CPU implementer", "")
    return fields.get("vendor_id") or _ARM.get(code.lower(), code)


def _distinct(names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
