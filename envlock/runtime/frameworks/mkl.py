"""MKL inside torch: AVX2 kernels that are the same on Intel's and AMD's CPUs (docs/adr/0027-portable-mkl.md).

The image's variables hold MKL_CBWR=COMPATIBLE, which is slow and leaves vector functions (square root,
and so Adam) to the maker's reciprocal estimates. Where ENVLOCK_MKL names the image's library
(envlock/image/mkl.py) it is loaded before torch, so that MKL's questions about the CPU come to it, and
then MKL is put on its AVX2 branch. The variable stays as it is: a program that the hook does not reach
keeps the slow branch. Where anything is missing, torch keeps it too, on every CPU, and the record
tells. So it does where the linker found another library first, or MKL binds its questions to itself.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VARIABLE = "ENVLOCK_MKL"
_CBWR = "MKL_CBWR"
_COMPATIBLE = "COMPATIBLE"
# MKL_CBWR_AVX2 and MKL_CBWR_BRANCH of mkl_service.h.
_AVX2 = 10
_BRANCH = 1
_ASKED = ("mkl_serv_intel_cpu_true", "mkl_vml_serv_cpu_detect")
# VML_HA, VML_FTZDAZ_OFF and VML_ERRMODE_IGNORE of mkl_vml_defines.h, as torch calls it.
_MODE = 0x140102
# What keeps torch on the slow branch.
_failures: list[Exception] = []


def before_import() -> None:
    """Load the library, where the run has one, in front of what torch will load."""
    path = os.environ.get(VARIABLE)
    if not path:
        return
    import ctypes

    _failures.clear()
    try:
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        _failures.append(error)


def after_import() -> None:
    """Put MKL on its AVX2 branch, before torch computes anything. A user's own MKL_CBWR is left alone."""
    if not os.environ.get(VARIABLE) or os.environ.get(_CBWR) != _COMPATIBLE:
        return
    try:
        if _failures:
            raise _failures[0]
        loaded = _choose()
    except (OSError, AttributeError, RuntimeError) as error:
        from envlock.runtime import hook

        hook.failed(f"torch's MKL keeps MKL_CBWR={_COMPATIBLE}, vector functions may differ by CPU", error)
        return
    unasked = _unasked(loaded)
    if unasked:
        from envlock.runtime import hook

        asked_itself = RuntimeError(f"it has {' and '.join(unasked)} from elsewhere than envlock's library")
        hook.failed("torch's MKL may compute otherwise on another CPU", asked_itself)


def _choose() -> Any:
    """Return the libraries of torch, whose MKL is on the branch."""
    import ctypes

    # Through torch's own extension module: what it needs is found by that, wherever MKL lies.
    extension = sys.modules["torch._C"].__file__
    loaded: Any = ctypes.CDLL(extension, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    # An MKL that does not ask both would compute one way on one maker's CPU: all keep the slow branch.
    for name in (*_ASKED, "vmsSqrt"):
        getattr(loaded, name)
    loaded.mkl_serv_cbwr_set(_AVX2)
    branch = loaded.mkl_serv_cbwr_get(_BRANCH)
    if branch != _AVX2:
        raise RuntimeError(f"MKL's branch is {branch} and not {_AVX2}")
    return loaded


def _unasked(loaded: Any) -> list[str]:
    """Return those of _ASKED that MKL did not ask the library, once it has computed something."""
    import ctypes

    number = ctypes.c_float(4.0)
    loaded.vmsSqrt(ctypes.c_long(1), ctypes.byref(number), ctypes.byref(number), ctypes.c_long(_MODE))
    own = ctypes.CDLL(os.environ[VARIABLE])
    asked = (ctypes.c_ubyte * len(_ASKED)).in_dll(own, "envlock_mkl_asked")
    return [name for number, name in enumerate(_ASKED) if not asked[number]]
