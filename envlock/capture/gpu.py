"""NVIDIA GPUs as the job would see them, by NVML. No failure of NVML stops a capture: each is a gap.

Rules kept here:

* ``devices`` are what CUDA shows under CUDA_VISIBLE_DEVICES, in its order; a GPU in MIG mode is shown by
  the instance that CUDA uses, with the instance's memory and profile.
* UUIDs and PCI addresses are read where they must be, to find the devices that the variable names and
  the ends of links, and are forgotten. Serial numbers are never read.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from envlock.capture import gpu_topology, graphics, visible_devices
from envlock.capture.nvml import Session, explained, text
from envlock.capture.visible_devices import Candidate
from envlock.lock.model import Gap, Gpu, GpuDevice

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_NO_MIG = ("NVML_ERROR_NOT_SUPPORTED", "NVML_ERROR_FUNCTION_NOT_FOUND")
_NO_INSTANCE = (*_NO_MIG, "NVML_ERROR_NOT_FOUND")
_ABSENT = ("NVML_ERROR_LIBRARY_NOT_FOUND", "NVML_ERROR_DRIVER_NOT_LOADED")


def read(nvml: Any, environ: Mapping[str, str], root: Path = Path("/")) -> tuple[Gpu, tuple[Gap, ...]]:
    """Ask ``nvml`` (the module pynvml). Without a driver the answer is empty and says so in a gap."""
    others = tuple(graphics.others(root))
    session = Session(nvml)
    error = session.start()
    if error is not None:
        return Gpu(driver=graphics.driver_version(root)), (*others, _failed(error, environ, root))
    found = _read(session, environ)
    session.end()
    return found, (*others, *session.gaps)


def _failed(error: str, environ: Mapping[str, str], root: Path) -> Gap:
    if error in _ABSENT:
        return graphics.without_library(environ, root)
    return Gap(subject="gpu", reason=f"NVML failed: {explained(error)}")


def _read(session: Session, environ: Mapping[str, str]) -> Gpu:
    version = session.ask("nvmlSystemGetCudaDriverVersion_v2")
    handles = _handles(session)
    candidates = _candidates(session, handles, named=_by_name(environ.get(_VISIBLE)))
    shown = visible_devices.visible(candidates, environ.get(_VISIBLE))
    devices = [(handles[one.gpu], _device(session, handles, one)) for one in shown]
    known = [(handle, device) for handle, device in devices if device is not None]
    _tell(session, handles, candidates, shown, environ)
    return Gpu(
        driver=text(session.ask("nvmlSystemGetDriverVersion")) or None,
        # NVML gives 12040 for 12.4 (nvml.h, nvmlSystemGetCudaDriverVersion).
        cuda=f"{version // 1000}.{version % 1000 // 10}" if version else None,
        devices=tuple(device for _, device in known),
        # Instances of MIG reach no other GPU.
        topology=()
        if any(device.mig for _, device in known)
        else gpu_topology.read(session, [handle for handle, _ in known]),
    )


def _handles(session: Session) -> dict[int, object]:
    """Return NVML's index → handle of each GPU that answers."""
    count = session.ask("nvmlDeviceGetCount") or 0
    handles = {index: session.ask("nvmlDeviceGetHandleByIndex", index) for index in range(count)}
    return {index: handle for index, handle in handles.items() if handle is not None}


def _by_name(value: str | None) -> bool:
    return bool(value) and not visible_devices.by_index(value)


def _candidates(session: Session, handles: Mapping[int, object], *, named: bool) -> tuple[Candidate, ...]:
    """Return what CUDA could show. UUIDs are asked for only where the variable has ``named`` devices."""
    found: list[Candidate] = []
    for index, handle in handles.items():
        uuid = text(session.ask("nvmlDeviceGetUUID", handle)) if named else ""
        names = (uuid,) if uuid else ()
        if not _mig(session, handle):
            found.append(Candidate(gpu=index, names=names))
            continue
        for number, instance in _instances(session, handle):
            own = _instance_names(session, instance, uuid) if named else ()
            found.append(Candidate(gpu=index, instance=number, names=own))
    return tuple(found)


def _mig(session: Session, handle: object) -> bool:
    """Is the device split into MIG instances now? Most devices do not support the question."""
    mode = session.ask("nvmlDeviceGetMigMode", handle, silent=_NO_MIG)
    return bool(mode and mode[0])


def _instances(session: Session, handle: object) -> list[tuple[int, object]]:
    count = session.ask("nvmlDeviceGetMaxMigDeviceCount", handle, silent=_NO_MIG) or 0
    asked = (
        (number, session.ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, number, silent=_NO_INSTANCE))
        for number in range(count)
    )
    return [(number, instance) for number, instance in asked if instance is not None]


def _instance_names(session: Session, instance: object, uuid: str) -> tuple[str, ...]:
    """Return the instance's own UUID and, for drivers before R470, ``MIG-GPU-<UUID>/<gi>/<ci>``."""
    own = text(session.ask("nvmlDeviceGetUUID", instance))
    group = session.ask("nvmlDeviceGetGpuInstanceId", instance, silent=_NO_MIG)
    compute = session.ask("nvmlDeviceGetComputeInstanceId", instance, silent=_NO_MIG)
    older = f"MIG-{uuid}/{group}/{compute}" if uuid and None not in (group, compute) else ""
    return tuple(dict.fromkeys(name for name in (own, older) if name))


def _device(session: Session, handles: Mapping[int, object], one: Candidate) -> GpuDevice | None:
    handle = part = handles[one.gpu]
    if one.instance is not None:
        part = session.ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, one.instance)
    name, memory = session.ask("nvmlDeviceGetName", handle), session.ask("nvmlDeviceGetMemoryInfo", part)
    capability = session.ask("nvmlDeviceGetCudaComputeCapability", handle)
    if name is None or memory is None or capability is None:
        return None
    return GpuDevice(
        model=text(name),
        capability=f"{capability[0]}.{capability[1]}",
        memory=int(memory.total),
        mig=one.instance is not None,
        profile=_profile(session, part) if one.instance is not None else "",
    )


def _profile(session: Session, instance: object) -> str:
    """Return ``1g.10gb`` of ``NVIDIA A100-SXM4-80GB MIG 1g.10gb``, the name that an instance has."""
    _, _, profile = text(session.ask("nvmlDeviceGetName", instance)).rpartition(" MIG ")
    return profile


def _tell(
    session: Session,
    handles: Mapping[int, object],
    candidates: Sequence[Candidate],
    shown: Sequence[Candidate],
    environ: Mapping[str, str],
) -> None:
    """Add gaps for GPUs that are there and not shown, and for an order that NVML can't know."""
    hidden = len(handles) - len({one.gpu for one in shown})
    split = len(handles) - len({one.gpu for one in candidates})
    by_variable = hidden - split
    if not handles:
        session.gaps.append(_gap("an NVIDIA driver is loaded, but it shows no usable GPU"))
    if split:
        session.gaps.append(_gap(f"{split} of {len(handles)} GPUs are in MIG mode without an instance"))
    if by_variable:
        session.gaps.append(
            _gap(f"{by_variable} of {len(handles)} GPUs are hidden from the job", harmless=True)
        )
    if unused := len([one for one in candidates if one.instance is not None and one not in shown]):
        session.gaps.append(_gap(f"{unused} MIG instances are not the one that the job uses", harmless=True))
    value, order = environ.get(_VISIBLE), environ.get("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    if shown and visible_devices.by_index(value) and order != "PCI_BUS_ID" and _mixed(session, handles):
        reason = (
            f"{_VISIBLE} counts unlike GPUs by speed, NVML by place: other ones may have been captured; "
            "CUDA_DEVICE_ORDER=PCI_BUS_ID makes both the same"
        )
        session.gaps.append(_gap(reason))


def _mixed(session: Session, handles: Mapping[int, object]) -> bool:
    return len({text(session.ask("nvmlDeviceGetName", handle)) for handle in handles.values()}) > 1


def _gap(reason: str, *, harmless: bool = False) -> Gap:
    return Gap(subject="gpu", reason=reason, harmless=harmless)
