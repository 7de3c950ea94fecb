"""The BLAS and OpenMP libraries of an environment: version, threading and the kernels that they choose.

Told as ``openblas 0.3.30 pthreads Haswell``, in the words of threadpoolctl. The kernels depend on the
processor, so the libraries themselves are asked, in a process of the captured interpreter: nothing is
loaded into envlock's. What does not answer there is told as far as its file and its name tell.
"""

import json
import mmap
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from envlock.capture import blas_probe
from envlock.host import process
from envlock.runtime.errors import UnreachableError

_NUMERIC = re.compile(
    r"^lib(?:scipy_)?(openblas|mkl_rt|mkl_core|blis|flexiblas|gomp|iomp5|omp|tbb|blas|lapack)"
    r"(?:64_|p|_ilp64)*(?:-[\w.-]+?)?\.so(?:\.([0-9.]+))?$"
)
# The configuration that each build of OpenBLAS carries as text, as openblas_get_config gives it.
_OPENBLAS = re.compile(rb"OpenBLAS (\d+(?:\.\d+)+(?:\.dev)?) ([ -~]*)")
_ASKED = ("openblas", "blis", "mkl_rt")
_SECONDS = 30.0
# Read with the module: inside the root of an image its file is out of reach.
_SCRIPT = Path(blas_probe.__file__).read_text("utf-8")

Facts = Mapping[str, Any]


def read(
    libraries: Iterable[str], program: Path | None = None, environ: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return what the numeric libraries among the paths ``libraries`` are, sorted, each once.

    ``program`` is the interpreter that may load them to ask; without one their files must tell.
    """
    named = {path: match.group(1) for path in libraries if (match := _NUMERIC.match(os.path.basename(path)))}
    asked = [path for path, name in sorted(named.items()) if name in _ASKED]
    answers = _ask(asked, program, environ or {}) if program is not None and asked else {}
    return tuple(sorted({_told(path, name, answers.get(path, {})) for path, name in named.items()}))


def _ask(paths: Sequence[str], program: Path, environ: Mapping[str, str]) -> dict[str, Facts]:
    argv = [str(program), "-I", "-S", "-B", "-c", _SCRIPT, *paths]
    try:
        done = process.run(argv, env=dict(environ), timeout=_SECONDS)
    except UnreachableError:
        return {}
    answers = (answer for line in done.stdout.splitlines() if (answer := _answer(line)) is not None)
    return {str(answer.get("path")): answer for answer in answers}


def _answer(line: bytes) -> Facts | None:
    """Return the facts of one line, None for what a library prints when it is loaded."""
    try:
        facts = json.loads(line)
    except ValueError:
        return None
    return facts if isinstance(facts, dict) else None


def _told(path: str, name: str, answer: Facts) -> str:
    if not answer and name == "openblas":
        answer = _static(path)
    version = answer.get("version") or _named_version(path)
    parts = (name, version, answer.get("layer"), answer.get("architecture"))
    return " ".join(str(part) for part in parts if part)


def _named_version(path: str) -> str | None:
    """Return the version in the name of the file, or of that which it links to."""
    for name in (os.path.realpath(path), path):
        match = _NUMERIC.match(os.path.basename(name))
        if match is not None and match.group(2):
            return match.group(2)
    return None


def _static(path: str) -> Facts:
    """Return what the file of an OpenBLAS tells without being loaded."""
    try:
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = _OPENBLAS.search(data)
            version, options = (found.group(1), found.group(2).split()) if found else (b"", [])
    except (OSError, ValueError):
        return {}
    if not version:
        return {}
    layer = "openmp" if b"USE_OPENMP" in options else "pthreads"
    return {"version": version.decode(), "layer": "sequential" if b"SINGLE_THREADED" in options else layer}
