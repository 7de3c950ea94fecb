"""NVIDIA GPUs, by NVML. No failure of NVML stops a capture: each is a gap with its reason.

Never read: UUIDs, serials, PCI addresses. NVML is an argument, so that tests simulate each failure.
"""

from typing import Any

from envlock.lock.model import Gap, Gpu, GpuDevice


def read(nvml: Any) -> tuple[Gpu, tuple[Gap, ...]]:
    """Ask ``nvml`` (the module pynvml). Without a driver the answer is empty and says so in a gap."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return Gpu(), (_gap(nvml, error),)
    gaps: list[Gap] = []
    found = _read(nvml, gaps)
    try:
        nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        gaps.append(_gap(nvml, error))
    return found, tuple(gaps)


def _read(nvml: Any, gaps: list[Gap]) -> Gpu:
    def ask(name: str, *arguments: object) -> Any:
        try:
            return getattr(nvml, name)(*arguments)
        except nvml.NVMLError as error:
            gaps.append(Gap(subject="gpu", reason=f"NVML did not answer {name}: {error}"))
            return None

    version = ask("nvmlSystemGetCudaDriverVersion_v2")
    count = ask("nvmlDeviceGetCount") or 0
    devices = [device for index in range(count) if (device := _device(nvml, ask, index)) is not None]
    if not devices:
        gaps.append(Gap(subject="gpu", reason="an NVIDIA driver is loaded, but it shows no usable GPU"))
    return Gpu(
        driver=_text(ask("nvmlSystemGetDriverVersion")) or None,
        # NVML gives 12040 for 12.4 (nvml.h, nvmlSystemGetCudaDriverVersion).
        cuda=f"{version // 1000}.{version % 1000 // 10}" if version else None,
        devices=tuple(sorted(devices, key=lambda one: (one.model, one.memory, one.capability, one.mig))),
    )


def _device(nvml: Any, ask: Any, index: int) -> GpuDevice | None:
    handle = ask("nvmlDeviceGetHandleByIndex", index)
    if handle is None:
        return None
    name, memory = ask("nvmlDeviceGetName", handle), ask("nvmlDeviceGetMemoryInfo", handle)
    capability = ask("nvmlDeviceGetCudaComputeCapability", handle)
    if name is None or memory is None or capability is None:
        return None
    return GpuDevice(
        model=_text(name),
        capability=f"{capability[0]}.{capability[1]}",
        memory=int(memory.total),
        mig=_mig(nvml, handle),
    )


def _mig(nvml: Any, handle: object) -> bool:
    """Is the device split into MIG instances now? Most devices do not support the question."""
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0])
    except nvml.NVMLError:
        return False


def _gap(nvml: Any, error: Exception) -> Gap:
    absent = (nvml.NVML_ERROR_LIBRARY_NOT_FOUND, nvml.NVML_ERROR_DRIVER_NOT_LOADED)
    if getattr(error, "value", None) in absent:
        reason = "no NVIDIA driver on this machine, so no GPU was captured"
        return Gap(subject="gpu", reason=reason, harmless=True)
    return Gap(subject="gpu", reason=f"NVML failed: {error}")


def _text(value: object) -> str:
    """Return NVML's text, which older releases of pynvml give as bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)
