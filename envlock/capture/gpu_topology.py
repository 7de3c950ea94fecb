"""How two GPUs are joined: what collective libraries choose their algorithms by.

NVLink before PCI, as NCCL prefers it. PCI addresses tell which GPU is at the other end of a link; they
never leave this module.
"""

from collections.abc import Sequence
from itertools import combinations

from envlock.capture.nvml import Session, text

# nvml.h, nvmlGpuTopologyLevel_t.
_LEVELS = {
    "NVML_TOPOLOGY_INTERNAL": "pci same board",
    "NVML_TOPOLOGY_SINGLE": "pci one switch",
    "NVML_TOPOLOGY_MULTIPLE": "pci several switches",
    "NVML_TOPOLOGY_HOSTBRIDGE": "pci same host bridge",
    "NVML_TOPOLOGY_NODE": "pci same NUMA node",
    "NVML_TOPOLOGY_SYSTEM": "pci across NUMA nodes",
}
# A link that is not there, and a GPU, driver or WSL that has no such question, are no fault.
_ABSENT = (
    "NVML_ERROR_NOT_SUPPORTED",
    "NVML_ERROR_INVALID_ARGUMENT",
    "NVML_ERROR_FUNCTION_NOT_FOUND",
)


def read(session: Session, handles: Sequence[object]) -> tuple[tuple[str, str], ...]:
    """Return (``0-1``, how they are joined) for each pair of ``handles``, by their position."""
    if len(handles) < 2:  # noqa: PLR2004 (a pair)
        return ()
    addresses = [_address(session, handle) for handle in handles]
    links = [_links(session, handle) for handle in handles]
    found = []
    for a, b in combinations(range(len(handles)), 2):
        direct = links[a].count(addresses[b]) if addresses[b] else 0
        switched = min(links[a].count(_SWITCH), links[b].count(_SWITCH))
        if direct or switched:
            found.append((f"{a}-{b}", f"nvlink x{direct}" if direct else f"nvswitch x{switched}"))
        elif level := _level(session, handles[a], handles[b]):
            found.append((f"{a}-{b}", level))
    return tuple(found)


_SWITCH = "switch"


def _links(session: Session, handle: object) -> list[str]:
    """Return what is at the other end of each active NVLink: a PCI address, or a switch."""
    ends: list[str] = []
    for link in range(session.nvml.NVML_NVLINK_MAX_LINKS):
        state = session.ask("nvmlDeviceGetNvLinkState", handle, link, silent=_ABSENT)
        if state is None and not link:
            return []
        if state:
            ends.append(_end(session, handle, link))
    return ends


def _end(session: Session, handle: object, link: int) -> str:
    kind = session.ask("nvmlDeviceGetNvLinkRemoteDeviceType", handle, link, silent=_ABSENT)
    if kind == session.nvml.NVML_NVLINK_DEVICE_TYPE_SWITCH:
        return _SWITCH
    remote = session.ask("nvmlDeviceGetNvLinkRemotePciInfo", handle, link, silent=_ABSENT)
    return text(remote.busId).lower() if remote is not None else ""


def _address(session: Session, handle: object) -> str:
    found = session.ask("nvmlDeviceGetPciInfo", handle, silent=_ABSENT)
    return text(found.busId).lower() if found is not None else ""


def _level(session: Session, a: object, b: object) -> str | None:
    level = session.ask("nvmlDeviceGetTopologyCommonAncestor", a, b, silent=_ABSENT)
    if level is None:
        return None
    named = {getattr(session.nvml, name): words for name, words in _LEVELS.items()}
    return named.get(level, f"pci level {level}")
