"""NVML, simulated: the calls of its C library, answered from a list."""

import ctypes
from typing import Any

import pytest

from envlock.runtime import hostfacts, nvml, preflight, preparation
from envlock.runtime import image as images
from envlock.runtime.hostfacts import GpuDevice
from envlock.runtime.layout import Layout
from envlock.runtime.options import Options
from tests.runtime.conftest import HOST, IMAGE, FakeImage


class Library:
    """Holds (name, capability or None) for each device; a name of None does not answer."""

    def __init__(self, *held: tuple[str | None, tuple[int, int] | None], starts: bool = True) -> None:
        self.held = held
        self.starts = starts
        self.ended = False

    def nvmlInit_v2(self) -> int:  # noqa: N802 - NVML's names, as below
        return 0 if self.starts else 9

    def nvmlShutdown(self) -> int:  # noqa: N802
        self.ended = True
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = len(self.held)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:  # noqa: N802
        handle._obj.value = index.value + 1
        return 0

    def nvmlDeviceGetName(self, handle: Any, name: Any, length: Any) -> int:  # noqa: N802
        held = self.held[handle.value - 1][0]
        if held is None:
            return 3
        assert length.value > len(held)
        name.value = held.encode()
        return 0

    def nvmlDeviceGetCudaComputeCapability(self, handle: Any, major: Any, minor: Any) -> int:  # noqa: N802
        found = self.held[handle.value - 1][1]
        if found is None:
            return 3
        major._obj.value, minor._obj.value = found
        return 0


def test_devices_come_with_their_capability() -> None:
    library = Library(("NVIDIA H200", (9, 0)), (None, (8, 0)), ("NVIDIA T4", None))
    found = nvml.devices(lambda name: library if name == "libnvidia-ml.so.1" else None)
    assert found == (GpuDevice("NVIDIA H200", "9.0"), GpuDevice("NVIDIA T4", None))
    assert library.ended


def missing(name: str) -> Any:
    raise OSError(name)


@pytest.mark.parametrize("load", [missing, lambda _: object(), lambda _: Library(starts=False)])
def test_a_driver_without_nvml_is_no_error(load: Any) -> None:
    assert nvml.devices(load) == ()


def test_a_run_asks_the_driver_that_the_host_has(image: FakeImage, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(("NVIDIA H200", (9, 0)))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    monkeypatch.setattr(hostfacts, "read", lambda _: HOST.replace(driver="580.65"))
    root = str(image.root / "envlock")
    prepared = preparation.prepare(Options(), image.environ({}), Layout(root=root, work=str(image.work)))
    assert prepared.host.gpus == (GpuDevice("NVIDIA H200", "9.0"),)
    assert library.ended
    library.held = ()
    of_proc = HOST.replace(driver="580.65", gpus=(GpuDevice("NVIDIA T4"),))
    monkeypatch.setattr(hostfacts, "read", lambda _: of_proc)
    prepared = preparation.prepare(Options(), image.environ({}), Layout(root=root, work=str(image.work)))
    assert prepared.host == of_proc


def test_another_gpu_is_named_with_its_architecture() -> None:
    h200 = {"model": "NVIDIA H200", "capability": "9.0", "memory": 2**37, "mig": False}
    gpu = {"driver": "580.65", "cuda": "13.0", "devices": [h200]}
    found = images.parse({**IMAGE, "os": {"machine": "x86_64"}, "gpu": gpu}, "image.json")
    host = HOST.replace(gpus=nvml.devices(lambda _: Library(("A100", (8, 0)))))
    (reason,) = preflight.grade(found, host, isa="portable", threads=None, gpu="compatible").reasons
    assert reason.text == "captured on NVIDIA H200 (sm_90), this host has A100 (sm_80): numerics may differ"
