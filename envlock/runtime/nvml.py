"""What NVIDIA's driver says of the GPUs that this container sees, through its own library (NVML).

Asked only where /proc names a driver. What NVML does not answer is left out, never an error.
"""

from __future__ import annotations

from envlock.runtime.hostfacts import GpuDevice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_LIBRARY = "libnvidia-ml.so.1"
_NAME_BYTES = 96
_SUCCESS = 0


def devices(load: Callable[[str], Any] | None = None) -> tuple[GpuDevice, ...]:
    """Return the GPUs in NVML's order; none where the library is missing or does not start."""
    import ctypes

    try:
        library = (load or ctypes.CDLL)(_LIBRARY)
        if library.nvmlInit_v2() != _SUCCESS:
            return ()
    except (OSError, AttributeError):
        return ()
    try:
        return tuple(_devices(library))
    finally:
        library.nvmlShutdown()


def _devices(library: Any) -> Iterator[GpuDevice]:
    import ctypes

    count = ctypes.c_uint(0)
    library.nvmlDeviceGetCount_v2(ctypes.byref(count))
    for index in range(count.value):
        handle = ctypes.c_void_p()
        name = ctypes.create_string_buffer(_NAME_BYTES)
        if (
            library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)) == _SUCCESS
            and library.nvmlDeviceGetName(handle, name, ctypes.c_uint(_NAME_BYTES)) == _SUCCESS
        ):
            yield GpuDevice(name.value.decode("utf-8", "replace"), _capability(library, handle))


def _capability(library: Any, handle: Any) -> str | None:
    import ctypes

    major, minor = ctypes.c_int(), ctypes.c_int()
    answered = library.nvmlDeviceGetCudaComputeCapability(handle, ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}" if answered == _SUCCESS else None
