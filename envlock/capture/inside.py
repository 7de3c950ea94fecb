"""Reading an environment inside the root of an image: what the process does that enters it.

Started by :mod:`envlock.engines.inspection` in namespaces of its own. It reads one JSON request,
enters the root (:mod:`envlock.host.confinement`) and answers on standard output with one JSON object:
``environment`` or, of a base, ``contents`` (:mod:`envlock.capture.transfer`), or ``error`` with the parts
of an EnvlockError.
"""

import encodings.ascii
import encodings.latin_1  # noqa: F401 (no module can be imported once inside)
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from envlock.capture import base_contents, environment, host_definition, packages_rpm, python, transfer
from envlock.capture.packages_rpm import Ask
from envlock.core.progress import Silent
from envlock.host import confinement
from envlock.runtime.errors import EnvlockError, InputError

_PYTHON = re.compile(r"python(3(\.\d+)?)?$")
_NAMES = ("python3", "python")
_PREFIXES = ("VIRTUAL_ENV", "CONDA_PREFIX")
# Where images keep an environment that their PATH does not name.
_COMMON = ("/opt/venv", "/venv", "/app/.venv", "/opt/conda", "/usr/local", "/usr")


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    # What envlock itself brings as files is read while it is in sight.
    python.script()
    host_definition.read()
    rpm = packages_rpm.asked_now(Path(request["root"]))
    confinement.enter(Path(request["root"]))
    json.dump(answer(request, confinement.start_only, rpm), sys.stdout)


def answer(
    request: Mapping[str, Any], start_only: Callable[..., None], rpm: Ask | None = None
) -> dict[str, Any]:
    """Return the answer. ``start_only`` is told of the interpreter before anything is started.

    ``rpm``: what that program, which is out of reach inside, said of the root.
    """
    variables = dict(request["variables"])
    try:
        if "sonames" in request:
            brought = base_contents.read(request["sonames"], request["minor"], variables, start_only, rpm=rpm)
            return {"contents": transfer.dumps(brought)}
        program = chosen_python(request["python"], tuple(request["command"]), variables)
        start_only(program)
        found = environment.read_installed(program, environ=variables, progress=Silent(), rpm=rpm)
    except EnvlockError as error:
        return {"error": {"class": type(error).__name__, **vars(error)}}
    return {"environment": transfer.dumps(found)}


def chosen_python(
    asked: str | None,
    command: tuple[str, ...],
    variables: Mapping[str, str],
    common: tuple[str, ...] = _COMMON,
) -> Path:
    """Return the interpreter of an image: the one asked for, or the one that the image itself uses.

    In this order: the program that its command starts, where that is a Python; VIRTUAL_ENV and
    CONDA_PREFIX; the first directory of its PATH with a python3 or a python; the prefixes ``common``,
    where images keep environments. Raises InputError when there is none.
    """
    if asked is not None:
        return _asked(Path(asked))
    candidates = [word for word in command[:1] if word.startswith("/") and _PYTHON.search(word)]
    prefixes = [variables[name] for name in _PREFIXES if variables.get(name)]
    path = variables.get("PATH", os.defpath).split(os.pathsep)
    directories = [*(f"{prefix}/bin" for prefix in prefixes), *path, *(f"{place}/bin" for place in common)]
    candidates += [f"{directory}/{name}" for directory in directories for name in _NAMES]
    found = next((one for one in candidates if one.startswith("/") and shutil.which(one)), None)
    if found is None:
        raise InputError(
            "the image has no Python interpreter",
            expected="python3 on its PATH, or in one of the usual places",
            hint="where it has one, name it: --python PATH-IN-THE-IMAGE",
        )
    return Path(found)


def _asked(python: Path) -> Path:
    """Return the program that ``--python`` names in the image: itself, or that of a prefix."""
    named = next((one for name in _NAMES if shutil.which(one := python / "bin" / name)), python)
    if not named.is_absolute() or shutil.which(named) is None:
        raise InputError(
            "the image has no such interpreter",
            where=str(python),
            expected="an absolute path of a program in it",
        )
    return named


if __name__ == "__main__":
    main()
