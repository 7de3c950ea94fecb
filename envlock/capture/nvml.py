"""Questions to NVML, each of which may fail: a failure is a gap and never stops a capture.

NVML itself (the module pynvml) is an argument, so that a simulator can take its place. Its library is
looked for where the loader looks, then where WSL, GKE and NixOS put it without telling the loader.
"""

import ctypes
from collections.abc import Collection, Iterable
from typing import Any

from envlock.lock.model import Gap

PLACES = (
    "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64",
    "/usr/local/nvidia/lib",
    "/run/opengl-driver/lib",
)
_LIBRARY = "libnvidia-ml.so.1"
# What the NVML reference tells too briefly for someone who must act on it.
_MEANINGS = {
    "NVML_ERROR_NO_PERMISSION": "this user may not ask",
    "NVML_ERROR_GPU_IS_LOST": "a GPU has fallen off the bus",
    "NVML_ERROR_RESET_REQUIRED": "a GPU needs a reset",
    "NVML_ERROR_LIB_RM_VERSION_MISMATCH": "the driver that is loaded and its library differ in version, as "
    "they do after an update until the machine is restarted",
}


class Session:
    """NVML from its start to its end, and what it did not answer."""

    def __init__(self, nvml: Any) -> None:
        """Ask ``nvml``, a module with the functions of NVML."""
        self.nvml = nvml
        self.gaps: list[Gap] = []

    def start(self, places: Iterable[str] = PLACES) -> str | None:
        """Start NVML. Return None, or the name of the constant of its error, which is no gap yet."""
        error = self._initialised()
        if error == "NVML_ERROR_LIBRARY_NOT_FOUND" and preload(places):
            error = self._initialised()
        return error

    def end(self) -> None:
        """Give NVML back."""
        self.ask("nvmlShutdown")

    def ask(self, function: str, *arguments: object, silent: Collection[str] = ()) -> Any:
        """Return the answer, or None: then there is a gap, but for errors whose names are ``silent``."""
        try:
            return getattr(self.nvml, function)(*arguments)
        except (self.nvml.NVMLError, UnicodeError, AttributeError) as error:
            name = self.named(error)
            if name not in silent:
                reason = f"NVML did not answer {function}: {explained(name, error)}"
                self.gaps.append(Gap(subject="gpu", reason=reason))
            return None

    def named(self, error: Exception) -> str:
        """Return the name of NVML's constant for ``error``."""
        code = getattr(error, "value", None)
        names = (name for name in dir(self.nvml) if name.startswith("NVML_ERROR_"))
        return next((name for name in names if getattr(self.nvml, name) == code), type(error).__name__)

    def _initialised(self) -> str | None:
        try:
            self.nvml.nvmlInit()
        except self.nvml.NVMLError as error:
            return self.named(error)
        return None


def explained(name: str, error: Exception | None = None) -> str:
    """Return an error in words, with NVML's own name for it to search for."""
    words = _MEANINGS.get(name) or (str(error).strip().rstrip(".") if error is not None else "")
    return f"{words} ({name})" if words else name


def preload(places: Iterable[str]) -> bool:
    """Load NVML's library from the first place that has it: then the loader finds it by its name."""
    return any(_loaded(f"{place}/{_LIBRARY}") for place in places)


def _loaded(path: str) -> bool:
    try:
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


def text(value: object) -> str:
    """Return NVML's text, which older releases of pynvml give as bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)
