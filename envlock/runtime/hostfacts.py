"""Facts of the machine that a job runs on, read from /proc. No names of hosts or users.

``root`` is the directory that holds ``proc`` (``/``), so that recordings of other machines can be
read. What can't be read is empty or 0, never an error: a job must not fail over a fact.
"""

from __future__ import annotations

import os
import re

from envlock.runtime import limits
from envlock.runtime.value import Value

# x86-64 psABI, "Micro-Architecture Levels", by the names of Linux's /proc/cpuinfo flags.
_LEVELS = (
    ("x86-64-v2", ("cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3")),
    ("x86-64-v3", ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave")),
    ("x86-64-v4", ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")),
)
# LZCNT is `abm` on both AMD and Intel.
_LZCNT = ("abm", "lzcnt")
_DRIVER = re.compile(r"Kernel Module(?: for \S+)?\s+(\d+\.\d+(?:\.\d+)*)")


class GpuDevice(Value):
    """A GPU; ``capability`` is None where no file says it."""

    model: str
    capability: str | None = None


class HostFacts(Value):
    """The machine, and what of it the job may use.

    ``isa`` is the psABI level, or the machine's name. ``cores`` and ``memory`` (bytes) are within affinity
    and the limits of control groups, as ``docker run --cpus --memory`` sets them.
    """

    machine: str
    kernel: str
    cpu_model: str
    isa: str
    cores: int
    memory: int
    driver: str | None
    gpus: tuple[GpuDevice, ...]


def read(root: str = "/") -> HostFacts:
    """Return the facts of this machine."""
    proc = os.path.join(root, "proc")
    system = os.uname()
    cpu = _first_processor(_text(proc, "cpuinfo"))
    driver = _DRIVER.search(_text(proc, "driver/nvidia/version"))
    return HostFacts(
        machine=system.machine,
        kernel=system.release,
        cpu_model=cpu.get("model name", ""),
        isa=isa_level(cpu.get("flags", "").split(), system.machine),
        cores=limits.cores(len(os.sched_getaffinity(0)), root),
        memory=limits.memory(_memory(_text(proc, "meminfo")), root),
        driver=driver.group(1) if driver else None,
        gpus=_gpus(os.path.join(proc, "driver/nvidia/gpus")),
    )


def isa_level(flags: list[str], machine: str) -> str:
    """Return the psABI level that ``flags`` reach; the machine's own name elsewhere than x86-64."""
    if machine not in ("x86_64", "amd64"):
        return machine
    level = "x86-64-v1"
    for name, needed in _LEVELS:
        missing = set(needed) - set(flags)
        if missing or (name == "x86-64-v3" and not set(_LZCNT) & set(flags)):
            break
        level = name
    return level


def _first_processor(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _memory(text: str) -> int:
    found = re.search(r"^MemTotal:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def _gpus(directory: str) -> tuple[GpuDevice, ...]:
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return ()
    texts = (_text(directory, f"{name}/information") for name in names)
    models = (re.search(r"^Model:\s*(\S.*?)\s*$", text, re.MULTILINE) for text in texts)
    return tuple(GpuDevice(found.group(1)) for found in models if found)


def _text(directory: str, name: str) -> str:
    try:
        with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
