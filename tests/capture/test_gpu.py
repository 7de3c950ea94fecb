"""GPUs, by a simulated NVML with the real pynvml's constants and errors."""

import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pynvml
import pytest

from envlock.capture import gpu, graphics, nvml, visible_devices
from envlock.capture.visible_devices import Candidate
from envlock.lock.model import Gap, GpuDevice
from tests.capture.nvml_simulator import MACHINES, NvmlSimulator

H100 = GpuDevice(model="NVIDIA H100 80GB HBM3", capability="9.0", memory=85_520_809_984, mig=False)
PutFile = Callable[[Path, bytes], Path]
ERRORS = sorted(name for name in dir(pynvml) if name.startswith("NVML_ERROR_"))
NO_DRIVER = "no NVIDIA driver on this machine, so no GPU was captured"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The root of a machine whose /proc, /sys and /dev tell nothing."""
    return tmp_path


def test_driver_devices_and_links_through_switches(bare: Path) -> None:
    found, gaps = gpu.read(NvmlSimulator.of("modelled-hgx-h100-8"), {}, bare)
    assert gaps == ()
    assert (found.driver, found.cuda) == ("580.65.06", "13.0")
    assert found.devices == (H100,) * 8
    assert len(found.topology) == 28
    assert set(found.topology) >= {("0-1", "nvswitch x18"), ("6-7", "nvswitch x18")}


def test_direct_links_are_counted_and_other_pairs_go_by_pci(bare: Path) -> None:
    found, _ = gpu.read(NvmlSimulator.of("modelled-workstation-3"), {}, bare)
    assert found.topology == (("0-1", "nvlink x4"), ("0-2", "pci same NUMA node"), ("1-2", "pci level 77"))


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (0, "pci same board"),
        (10, "pci one switch"),
        (20, "pci several switches"),
        (30, "pci same host bridge"),
        (50, "pci across NUMA nodes"),
    ],
)
def test_each_pci_level_has_its_words(bare: Path, level: int, words: str) -> None:
    simulated = NvmlSimulator.of("modelled-workstation-3")
    simulated.machine["levels"]["0-2"] = level
    assert dict(gpu.read(simulated, {}, bare)[0].topology)["0-2"] == words


def test_two_gpus_hidden_from_the_others_keep_their_own_relation(bare: Path) -> None:
    found, gaps = gpu.read(NvmlSimulator.of("modelled-hgx-h100-8"), {"CUDA_VISIBLE_DEVICES": "6,2"}, bare)
    assert found.devices == (H100, H100)
    assert found.topology == (("0-1", "nvswitch x18"),)
    assert gaps == (Gap(subject="gpu", reason="6 of 8 GPUs are hidden from the job", harmless=True),)


def test_in_wsl_one_gpu_has_no_relations_and_no_gap(bare: Path) -> None:
    found, gaps = gpu.read(NvmlSimulator.of("modelled-wsl-4090"), {}, bare)
    assert (len(found.devices), found.topology, gaps) == (1, (), ())


def test_a_driver_that_tells_no_topology_leaves_it_out_without_a_gap(bare: Path) -> None:
    simulated = NvmlSimulator.of("modelled-workstation-3")
    del simulated.machine["levels"]  # type: ignore[attr-defined]
    found, gaps = gpu.read(simulated, {}, bare)
    assert (found.topology, gaps) == ((("0-1", "nvlink x4"),), ())


def test_a_link_whose_end_is_not_told_is_not_counted(bare: Path) -> None:
    failing = {"nvmlDeviceGetNvLinkRemotePciInfo": pynvml.NVML_ERROR_NOT_SUPPORTED}
    found, gaps = gpu.read(NvmlSimulator.of("modelled-workstation-3", **failing), {}, bare)
    assert dict(found.topology)["0-1"] == "pci same host bridge"
    assert gaps == ()
    failing = {"nvmlDeviceGetPciInfo": pynvml.NVML_ERROR_UNKNOWN}
    found, gaps = gpu.read(NvmlSimulator.of("modelled-workstation-3", **failing), {}, bare)
    assert dict(found.topology)["0-1"] == "pci same host bridge"
    assert len(gaps) == 3


def test_only_the_mig_instance_that_cuda_uses_is_shown(bare: Path) -> None:
    found, gaps = gpu.read(NvmlSimulator.of("modelled-a100-mig"), {}, bare)
    assert [(one.mig, one.profile, one.memory) for one in found.devices] == [
        (True, "3g.40gb", 42_090_889_216),
        (False, "", 85_899_345_920),
    ]
    assert found.topology == ()
    assert [gap.reason for gap in gaps] == [
        "1 of 3 GPUs are in MIG mode without an instance",
        "1 MIG instances are not the one that the job uses",
    ]
    assert [gap.harmless for gap in gaps] == [False, True]


@pytest.mark.parametrize(
    ("value", "profile"),
    [
        ("0", "3g.40gb"),
        ("MIG-c0000000", "3g.40gb"),
        ("MIG-d0000000-0000-4000-8000-0000d0000000", "1g.10gb"),
        ("MIG-GPU-b0000000-0000-4000-8000-0000b0000000/7/0", "1g.10gb"),
        ("GPU-b1000000", ""),
    ],
)
def test_mig_instances_are_found_by_index_uuid_and_the_older_form(
    bare: Path, value: str, profile: str
) -> None:
    simulated = NvmlSimulator.of("modelled-a100-mig")
    found, _ = gpu.read(simulated, {"CUDA_VISIBLE_DEVICES": value}, bare)
    (device,) = found.devices
    assert device.profile == profile
    assert "MIG-" not in repr(found)
    assert "GPU-" not in repr(found)


def test_uuids_are_asked_for_only_where_the_variable_names_them(bare: Path) -> None:
    for value, asked in [("1", False), ("GPU-a0", True)]:
        simulated = NvmlSimulator.of("modelled-hgx-h100-8")
        gpu.read(simulated, {"CUDA_VISIBLE_DEVICES": value}, bare)
        assert ("nvmlDeviceGetUUID" in simulated.calls) == asked
        assert not any("Serial" in call for call in simulated.calls)


GPUS = tuple(Candidate(gpu=i, names=(name,)) for i, name in enumerate(["GPU-aa1", "GPU-aa2", "GPU-b"]))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("2,0", [2, 0]),
        (" 1 , 2 ", [1, 2]),
        ("0,7,1", [0]),
        ("1,-1,2", [1]),
        ("0,0", []),
        ("GPU-b,GPU-aa1", [2, 0]),
        ("gpu-B", [2]),
        ("GPU-aa", []),
        ("NoDevFiles", []),
        ("0,", [0]),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(value: str | None, shown: list[int]) -> None:
    """Rule: the first entry that names no device ends the list; a device named twice empties it."""
    assert [one.gpu for one in visible_devices.visible(GPUS, value)] == shown


def test_unlike_gpus_counted_by_speed_are_a_gap(bare: Path) -> None:
    def reasons(**environ: str) -> list[str]:
        _, gaps = gpu.read(NvmlSimulator.of("modelled-workstation-3"), environ, bare)
        return [gap.reason for gap in gaps if "by speed" in gap.reason]

    assert len(reasons(CUDA_VISIBLE_DEVICES="0,1")) == 1
    assert reasons(CUDA_VISIBLE_DEVICES="0,1", CUDA_DEVICE_ORDER="PCI_BUS_ID") == []
    assert reasons(CUDA_VISIBLE_DEVICES="GPU-10") == []
    assert reasons() == []


@pytest.mark.parametrize("error", ERRORS)
def test_each_error_of_nvmls_start_is_one_gap_that_names_it(bare: Path, error: str) -> None:
    simulated = NvmlSimulator.of("modelled-wsl-4090", nvmlInit=getattr(pynvml, error))
    found, (gap,) = gpu.read(simulated, {}, bare)
    assert (found.driver, found.devices) == (None, ())
    if error in ("NVML_ERROR_LIBRARY_NOT_FOUND", "NVML_ERROR_DRIVER_NOT_LOADED"):
        assert (gap.reason, gap.harmless) == (NO_DRIVER, True)
    else:
        assert error in gap.reason
        assert not gap.harmless


def test_a_version_mismatch_says_what_to_do(bare: Path) -> None:
    _, (gap,) = gpu.read(NvmlSimulator.of("modelled-wsl-4090", nvmlInit=18), {}, bare)
    assert "differ in version" in gap.reason
    assert "restarted" in gap.reason


FUNCTIONS = [
    "nvmlShutdown",
    "nvmlSystemGetDriverVersion",
    "nvmlSystemGetCudaDriverVersion_v2",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetName",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetCudaComputeCapability",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetMaxMigDeviceCount",
    "nvmlDeviceGetMigDeviceHandleByIndex",
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_error_of_each_function_is_a_gap_or_means_not_there(bare: Path, function: str) -> None:
    silent = {"NVML_ERROR_NOT_SUPPORTED", "NVML_ERROR_FUNCTION_NOT_FOUND"} if "Mig" in function else set()
    silent |= {"NVML_ERROR_NOT_FOUND"} if "MigDeviceHandle" in function else set()
    for error in ERRORS:
        simulated = NvmlSimulator.of("modelled-a100-mig", **{function: getattr(pynvml, error)})
        _, gaps = gpu.read(simulated, {}, bare)
        told = any(function in gap.reason and error in gap.reason for gap in gaps)
        assert told != (error in silent), error


def test_one_lost_gpu_leaves_the_others(bare: Path) -> None:
    class Lost(NvmlSimulator):
        def device_get_handle_by_index(self, index: int) -> dict[str, object]:
            if index == 3:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
            return dict(super().device_get_handle_by_index(index))

    found, (gap,) = gpu.read(Lost(NvmlSimulator.of("modelled-hgx-h100-8").machine), {}, bare)
    assert len(found.devices) == 7
    assert "fallen off the bus" in gap.reason


def test_a_driver_without_gpu_says_so(bare: Path) -> None:
    found, (gap,) = gpu.read(NvmlSimulator({"driver": "580.1", "cuda": 13000, "devices": []}), {}, bare)
    assert (found.driver, found.devices) == ("580.1", ())
    assert (gap.reason, gap.harmless) == ("an NVIDIA driver is loaded, but it shows no usable GPU", False)


def test_a_hidden_gpu_is_no_fault(bare: Path) -> None:
    found, (gap,) = gpu.read(NvmlSimulator.of("modelled-wsl-4090"), {"CUDA_VISIBLE_DEVICES": ""}, bare)
    assert (found.driver, found.devices, gap.harmless) == ("581.29", (), True)


PROC = b"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC version:\n"


@pytest.mark.parametrize(
    ("files", "environ", "words", "harmless", "driver"),
    [
        ({}, {}, NO_DRIVER, True, None),
        ({"proc/driver/nvidia/version": PROC}, {}, "is not within reach", False, "580.65.06"),
        ({"sys/module/nvidia/version": b"550.1\n"}, {}, "is not within reach", False, "550.1"),
        (
            {"proc/driver/nvidia/version": PROC},
            {"NVIDIA_VISIBLE_DEVICES": "void"},
            "from this container",
            True,
            "580.65.06",
        ),
        ({"dev/dxg": b""}, {}, "this is WSL", True, None),
    ],
)
def test_without_nvml_the_reason_is_told_and_the_driver_named(
    bare: Path,
    put: PutFile,
    files: dict[str, bytes],
    environ: dict[str, str],
    words: str,
    harmless: bool,  # noqa: FBT001 (a parameter of the table)
    driver: str | None,
) -> None:
    for name, data in files.items():
        put(bare / name, data)
    simulated = NvmlSimulator.of("modelled-wsl-4090", nvmlInit=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    found, (gap,) = gpu.read(simulated, environ, bare)
    assert found.driver == driver
    assert words in gap.reason
    assert gap.harmless == harmless


@pytest.mark.parametrize(
    ("files", "makers"),
    [
        ({"sys/class/drm/card0/device/vendor": b"0x8086\n"}, [("Intel", True)]),
        ({"sys/class/drm/card0/device/vendor": b"0x10de\n"}, []),
        ({"sys/class/drm/card1/device/vendor": b"0x1002\n"}, [("AMD", True)]),
        ({"sys/class/drm/card1/device/vendor": b"0x1002\n", "dev/kfd": b""}, [("AMD", False)]),
        ({"sys/class/accel/accel0/device/vendor": b"0x1da3\n"}, [("Habana", False)]),
    ],
)
def test_devices_of_other_makers_are_named_as_not_captured(
    bare: Path, put: PutFile, files: dict[str, bytes], makers: list[tuple[str, bool]]
) -> None:
    for name, data in files.items():
        put(bare / name, data)
    _, gaps = gpu.read(NvmlSimulator.of("modelled-wsl-4090"), {}, bare)
    assert [(gap.reason.split()[3], gap.harmless) for gap in gaps] == makers


def test_a_library_that_the_loader_does_not_know_is_loaded_from_where_wsl_has_it(tmp_path: Path) -> None:
    # Any shared library serves: only that it can be loaded is of interest.
    extensions = Path(sysconfig.get_path("stdlib"), "lib-dynload")
    real = next(iter(sorted(extensions.glob("*.so"))))
    shutil.copy(real, tmp_path / "libnvidia-ml.so.1")
    assert not nvml.preload([str(tmp_path / "none")])
    assert nvml.preload([str(tmp_path / "none"), str(tmp_path)])


def test_a_start_that_fails_is_tried_again_after_the_library_was_found(tmp_path: Path, put: PutFile) -> None:
    put(tmp_path / "libnvidia-ml.so.1", b"not a library")
    simulated = NvmlSimulator.of("modelled-wsl-4090", nvmlInit=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    assert nvml.Session(simulated).start([str(tmp_path)]) == "NVML_ERROR_LIBRARY_NOT_FOUND"
    assert simulated.calls == ["nvmlInit"]
    real = next(iter(sorted(Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("*.so"))))
    shutil.copy(real, tmp_path / "libnvidia-ml.so.1")
    assert nvml.Session(simulated).start([str(tmp_path)]) == "NVML_ERROR_LIBRARY_NOT_FOUND"
    assert simulated.calls == ["nvmlInit"] * 3


def test_every_description_says_that_it_is_modelled_or_names_its_recording() -> None:
    for file in MACHINES.glob("*.json"):
        machine = NvmlSimulator.of(file.stem).machine
        assert ("not recorded" in machine["note"]) == file.stem.startswith("modelled-")


def test_the_real_pynvml_answers_on_this_machine(bare: Path) -> None:
    """With a GPU or without one: the module that is shipped has every function and no error gets out."""
    found, gaps = gpu.read(pynvml, {}, bare)
    assert found.devices or gaps


def test_nvml_is_asked_only_where_a_driver_may_be(tmp_path: Path) -> None:
    assert not graphics.may_answer(tmp_path)
    (gap,) = graphics.unseen({}, tmp_path)
    assert gap.harmless
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/dxg").touch()
    assert graphics.may_answer(tmp_path)
