"""Which interpreter is meant where none is named."""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from envlock.runtime.errors import UsageError

_ACTIVE = ("VIRTUAL_ENV", "CONDA_PREFIX")
_PYTHON = re.compile(r"python(3(\.\d+)?)?")


def active_python(
    environ: Mapping[str, str], own_prefix: str | None = None, *, command: tuple[str, ...] = ()
) -> Path:
    """Return the interpreter of the active environment: VIRTUAL_ENV, CONDA_PREFIX, python3 on PATH.

    Where a job is named that is itself a Python interpreter, that one.

    The virtual environment that envlock itself runs from (``own_prefix``, default: this process's) is
    passed over on PATH, since its user does not work in it. Raises UsageError when there is none.
    """
    started = shutil.which(command[0], path=environ.get("PATH")) if command else None
    if started is not None and _PYTHON.fullmatch(os.path.basename(started)):
        return Path(started)
    for name in _ACTIVE:
        if prefix := environ.get(name):
            program = Path(prefix, "bin", "python")
            if not program.exists():
                raise UsageError(
                    "the active environment has no interpreter",
                    where=f"{name}={prefix}",
                    expected="bin/python in it",
                    hint="activate an environment that exists, or name one with --python",
                )
            return program
    own = own_prefix or (sys.prefix if sys.prefix != sys.base_prefix else None)
    entries = environ.get("PATH", os.defpath).split(os.pathsep)
    others = [
        entry for entry in entries if own is None or os.path.realpath(entry) != os.path.realpath(f"{own}/bin")
    ]
    found = shutil.which("python3", path=os.pathsep.join(others))
    if found is None:
        raise UsageError(
            "no environment to capture",
            expected="an active virtual or conda environment, or python3 on PATH",
            hint="activate the environment, or name its interpreter: --python ENV/bin/python",
        )
    return Path(found)
