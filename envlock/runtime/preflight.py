"""Grading the host against the image: same, compatible, numerics may differ, will not run.

Pure. Each reason carries the grade that it causes; the verdict is the worst of them.
"""

from __future__ import annotations

import re

from envlock.runtime.hostfacts import GpuDevice, HostFacts
from envlock.runtime.image import Image
from envlock.runtime.record import GRADES
from envlock.runtime.value import Value

SAME, COMPATIBLE, MAY_DIFFER, WILL_NOT_RUN = GRADES
_LEVELS = ("x86-64-v1", "x86-64-v2", "x86-64-v3", "x86-64-v4")
_FORCED = "OPENBLAS_CORETYPE"
_PORTABLE_LEVEL = "x86-64-v3"
# The oldest driver for each CUDA major version (NVIDIA, "CUDA Toolkit and Minimum Required Driver").
_DRIVERS = {11: "450.80.02", 12: "525.60.13", 13: "580"}


class Reason(Value):
    """Something in which the host differs from the capture."""

    grade: str
    text: str


class Verdict(Value):
    """The worst grade and every reason, worst first."""

    grade: str
    reasons: tuple[Reason, ...]


def grade(image: Image, host: HostFacts, *, isa: str, gpu: str, threads: int | None) -> Verdict:
    """Return how ``host`` compares with the machine of the capture.

    ``isa`` (portable or native), ``gpu`` (same, compatible or any) and ``threads`` are the manifest's.
    Memory is recorded and not graded: no lock knows how much a job needs.
    """
    reasons = [*_machine(image, host), *_cpu(image, host, isa), *_threads(host, threads)]
    if gpu != "any":
        reasons += [*_driver(image, host), *_gpus(image, host, gpu)]
    reasons.sort(key=lambda reason: -GRADES.index(reason.grade))
    return Verdict(reasons[0].grade if reasons else SAME, tuple(reasons))


def with_reason(verdict: Verdict, reason: Reason) -> Verdict:
    """Return the verdict with one more reason."""
    reasons = sorted((reason, *verdict.reasons), key=lambda one: -GRADES.index(one.grade))
    return Verdict(reasons[0].grade, tuple(reasons))


def _machine(image: Image, host: HostFacts) -> list[Reason]:
    if image.machine in ("", host.machine):
        return []
    return [Reason(WILL_NOT_RUN, f"the image is for {image.machine}, this host is {host.machine}")]


def _cpu(image: Image, host: HostFacts, isa: str) -> list[Reason]:
    if host.isa not in _LEVELS or image.cpu.isa not in _LEVELS:
        return []
    here, there = _LEVELS.index(host.isa), _LEVELS.index(image.cpu.isa)
    # NumPy's wheels have x86-64-v2 as their baseline and end at import on less.
    if here < 1 <= there:
        return [Reason(WILL_NOT_RUN, f"captured on {image.cpu.isa}, this host has only {host.isa}")]
    if isa == "portable" and here < _LEVELS.index(_PORTABLE_LEVEL):
        return [_below_portable(image, host)]
    if image.cpu.model == host.cpu_model and here == there:
        return []
    text = f"captured on {image.cpu.model} ({image.cpu.isa}), this host has {host.cpu_model} ({host.isa})"
    if isa == "portable":
        return [Reason(COMPATIBLE, text)]
    return [Reason(MAY_DIFFER, f"{text}: numerics may differ with cpu.isa native")]


def _below_portable(image: Image, host: HostFacts) -> Reason:
    text = f"cpu.isa portable needs {_PORTABLE_LEVEL}, this host has {host.isa}"
    # Told to take its AVX2 kernels, OpenBLAS does so on any CPU, and the kernel ends the process.
    if _FORCED in dict(image.env):
        return Reason(WILL_NOT_RUN, f"{text}: its libraries would end with an illegal instruction")
    return Reason(MAY_DIFFER, f"{text}: numerics may differ")


def _threads(host: HostFacts, threads: int | None) -> list[Reason]:
    if threads is None or threads <= host.cores:
        return []
    cores = "1 core" if host.cores == 1 else f"{host.cores} cores"
    text = f"cpu.threads is {threads}, this host gives the job {cores}: the same numerics, slower"
    return [Reason(COMPATIBLE, text)]


def _driver(image: Image, host: HostFacts) -> list[Reason]:
    version = next((one.version for one in image.cuda if "cudart" in one.name.lower()), None)
    if version is None or host.driver is None:
        return []
    needed = _DRIVERS.get(_numbers(version)[0] if _numbers(version) else 0)
    if needed is None or _numbers(host.driver) >= _numbers(needed):
        return []
    short = ".".join(version.split(".")[:2])
    text = f"driver {host.driver} is too old for CUDA {short}: needs {needed} or newer"
    return [Reason(WILL_NOT_RUN, text)]


def _gpus(image: Image, host: HostFacts, policy: str) -> list[Reason]:
    if not image.gpu.devices:
        return []
    captured = image.gpu.devices[0]
    there = _named(GpuDevice(captured.model, captured.capability))
    if not host.gpus:
        return [Reason(MAY_DIFFER, f"captured on {there}, this host has no GPU: numerics may differ")]
    capabilities = {one.model: one.capability for one in image.gpu.devices}
    device = host.gpus[0]
    here = device.replace(capability=device.capability or capabilities.get(device.model))
    if here.model == captured.model:
        return []
    text = f"captured on {there}, this host has {_named(here)}"
    if policy == "compatible" and here.capability == captured.capability:
        return [Reason(COMPATIBLE, text)]
    return [Reason(MAY_DIFFER, f"{text}: numerics may differ")]


def _named(device: GpuDevice) -> str:
    if not device.capability:
        return device.model
    return f"{device.model} (sm_{device.capability.replace('.', '')})"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", version))
