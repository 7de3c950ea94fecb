"""The script that the captured interpreter runs to ask numeric libraries what they are on this processor.

It is sent as text (``python -I -S -B -c``) with the libraries' paths as arguments, needs only the standard
library and runs on Python 3.8 and later. OpenBLAS, MKL and BLIS choose their kernels when they are loaded,
so nothing short of loading them tells which. One line of JSON a library: a crash loses only what follows.
"""

import ctypes
import json
import os
import sys
from typing import Any, Dict, Optional  # noqa: UP035 (the captured Python may be 3.8)

_AFFIXES = tuple((before, after) for before in ("scipy_", "") for after in ("64_", "_64", ""))
# What openblas_get_parallel and MKL's layer numbers mean (their headers).
_OPENBLAS_LAYERS = {0: "sequential", 1: "pthreads", 2: "openmp"}


_TRIES = 6


def loaded(path: str, tries: int = _TRIES) -> ctypes.CDLL:
    """Load a library, and first what it needs and the loader does not find, where that lies beside it.

    A wheel's repaired library may have no search path of its own: the extension module's leads to all.
    """
    try:
        return ctypes.CDLL(path)
    except OSError as error:
        beside = os.path.join(os.path.dirname(path), str(error).partition(":")[0])
        if tries == 0 or beside == path or not os.path.isfile(beside):
            raise
    loaded(beside, tries - 1)
    return loaded(path, tries - 1)


def function(library: ctypes.CDLL, name: str, result: Any) -> Optional[Any]:  # noqa: UP045 (as above)
    """Return the answer of a function without arguments, or None where the library has none."""
    found = getattr(library, name, None)
    if found is None:
        return None
    found.argtypes, found.restype = [], result
    answer = found()
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer


def openblas(library: ctypes.CDLL) -> Dict[str, Optional[str]]:  # noqa: UP006, UP045 (as above)
    """Ask OpenBLAS; SciPy's builds have their own names for its functions."""

    def ask(name: str, result: Any) -> Any:
        answers = (function(library, before + name + after, result) for before, after in _AFFIXES)
        return next((answer for answer in answers if answer is not None), None)

    words = (ask("openblas_get_config", ctypes.c_char_p) or "").split()
    return {
        "version": words[1] if words[:1] == ["OpenBLAS"] and len(words) > 1 else None,
        "layer": _OPENBLAS_LAYERS.get(ask("openblas_get_parallel", ctypes.c_int)),
        "architecture": ask("openblas_get_corename", ctypes.c_char_p),
    }


def blis(library: ctypes.CDLL) -> Dict[str, Optional[str]]:  # noqa: UP006, UP045 (as above)
    """Ask BLIS."""
    arch = function(library, "bli_arch_query_id", ctypes.c_int)
    name = getattr(library, "bli_arch_string", None)
    if name is not None:
        name.argtypes, name.restype = [ctypes.c_int], ctypes.c_char_p
    layers = {"openmp": "bli_info_get_enable_openmp", "pthreads": "bli_info_get_enable_pthreads"}
    layer = [key for key, asked in layers.items() if function(library, asked, ctypes.c_int)]
    return {
        "version": function(library, "bli_info_get_version_str", ctypes.c_char_p),
        "layer": layer[0] if layer else "sequential",
        "architecture": name(arch).decode() if name is not None and arch is not None else None,
    }


def mkl(library: ctypes.CDLL) -> Dict[str, Optional[str]]:  # noqa: UP006, UP045 (as above)
    """Ask MKL: ``Intel(R) ... Version 2024.2-Product Build 20240605 for Intel(R) 64 architecture ...``."""
    text = ctypes.create_string_buffer(198)
    library.mkl_get_version_string(text, 198)
    words = text.value.decode("utf-8", "replace").split()
    at = words.index("Version") if "Version" in words else len(words)
    version = words[at + 1] if at + 1 < len(words) else None
    return {"version": version.partition("-")[0] if version else None, "layer": None, "architecture": None}


def main() -> None:
    """Answer one line for each library that can be asked."""
    for path in sys.argv[1:]:
        name = os.path.basename(path)
        asked = openblas if "openblas" in name else blis if "blis" in name else mkl
        try:
            facts = asked(loaded(path))
        except (OSError, AttributeError, ValueError):
            continue
        sys.stdout.write(json.dumps({"path": path, **facts}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
