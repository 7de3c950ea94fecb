"""NVML as a machine without a GPU can have it: answers from a description, errors on request.

Descriptions stand in tests/capture/nvml. ``modelled`` in a name: written after NVML's reference and what
nvidia-smi prints for such a machine; no GPU was at hand to record one. A recording would be named after
its GPU's model and its date. Constants and error classes are those of the real pynvml.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml

MACHINES = Path(__file__).parent / "nvml"


@dataclass
class NvmlSimulator:
    """A module like pynvml. ``errors``: function → the code that it raises, ``calls``: what was asked."""

    machine: Mapping[str, Any]
    errors: Mapping[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, **errors: int) -> "NvmlSimulator":
        """Return the simulator of a description, with functions that fail."""
        return cls(json.loads((MACHINES / f"{name}.json").read_bytes()), errors)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml"):
            return getattr(pynvml, name)
        answer: Callable[..., object] = getattr(self, _snake(name.removeprefix("nvml")))

        def call(*arguments: Any) -> object:
            self.calls.append(name)
            if name in self.errors:
                raise pynvml.NVMLError(self.errors[name])
            return answer(*arguments)

        return call

    def __dir__(self) -> list[str]:
        return dir(pynvml)

    def init(self) -> None: ...

    def shutdown(self) -> None: ...

    def system_get_driver_version(self) -> str:
        return str(self.machine["driver"])

    def system_get_cuda_driver_version_v2(self) -> int:
        return int(self.machine["cuda"])

    def device_get_count(self) -> int:
        return len(self.machine["devices"])

    def device_get_handle_by_index(self, index: int) -> Mapping[str, Any]:
        handle: Mapping[str, Any] = self.machine["devices"][index]
        return handle

    def device_get_name(self, device: Mapping[str, Any]) -> bytes:
        return str(device["name"]).encode()

    def device_get_uuid(self, device: Mapping[str, Any]) -> str:
        return str(device["uuid"])

    def device_get_memory_info(self, device: Mapping[str, Any]) -> SimpleNamespace:
        return SimpleNamespace(total=device["memory"])

    def device_get_cuda_compute_capability(self, device: Mapping[str, Any]) -> tuple[int, ...]:
        return tuple(device["capability"])

    def device_get_pci_info(self, device: Mapping[str, Any]) -> SimpleNamespace:
        return SimpleNamespace(busId=device["bus"])

    def device_get_mig_mode(self, device: Mapping[str, Any]) -> list[int]:
        if "mig" not in device:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return list(device["mig"])

    def device_get_max_mig_device_count(self, device: Mapping[str, Any]) -> int:
        return 7

    def device_get_mig_device_handle_by_index(self, device: Mapping[str, Any], at: int) -> Any:
        if at >= len(device["instances"]):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return device["instances"][at]

    def device_get_gpu_instance_id(self, instance: Mapping[str, Any]) -> int:
        return int(instance["gi"])

    def device_get_compute_instance_id(self, instance: Mapping[str, Any]) -> int:
        return int(instance["ci"])

    def device_get_nv_link_state(self, device: Mapping[str, Any], link: int) -> int:
        if "links" not in device:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        if link >= 18:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return int(link < len(_ends(device)))

    def device_get_nv_link_remote_device_type(self, device: Mapping[str, Any], link: int) -> int:
        switch = _ends(device)[link] == "switch"
        return int(pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH if switch else pynvml.NVML_NVLINK_DEVICE_TYPE_GPU)

    def device_get_nv_link_remote_pci_info(self, device: Mapping[str, Any], link: int) -> SimpleNamespace:
        return SimpleNamespace(busId=_ends(device)[link].encode())

    def device_get_topology_common_ancestor(self, a: Mapping[str, Any], b: Mapping[str, Any]) -> int:
        if "levels" not in self.machine:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        positions = (self.machine["devices"].index(one) for one in (a, b))
        return int(self.machine["levels"]["-".join(map(str, sorted(positions)))])


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _ends(device: Mapping[str, Any]) -> list[str]:
    return [end for end, count in device["links"].items() for _ in range(count)]
