"""The capture: every probe in turn, and their answers as one :class:`Environment`."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pynvml

from envlock.capture import (
    cpu,
    cuda,
    distributions,
    gpu,
    host_definition,
    host_files,
    objects,
    operating_system,
    packages_dpkg,
    record,
    variables,
)
from envlock.capture.host_files import Collected
from envlock.capture.objects import Objects
from envlock.capture.packages_dpkg import Database
from envlock.capture.project import read as read_project
from envlock.capture.python import Interpreter, ask, describe
from envlock.core.progress import Progress
from envlock.lock.environment import Environment
from envlock.lock.model import Gap
from envlock.runtime.errors import UsageError

_ACTIVE = ("VIRTUAL_ENV", "CONDA_PREFIX")


def active_python(environ: Mapping[str, str], own_prefix: str | None = None) -> Path:
    """Return the interpreter of the active environment: VIRTUAL_ENV, CONDA_PREFIX, python3 on PATH.

    The virtual environment that envlock itself runs from (``own_prefix``, default: this process's) is
    passed over on PATH, since its user does not work in it. Raises UsageError when there is none.
    """
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


def read(
    python: Path, *, project: Path | None, environ: Mapping[str, str], progress: Progress
) -> Environment:
    """Capture the environment of the interpreter ``python`` and, where given, the project's code.

    Raises UsageError or InputError when ``python`` can't be asked; whatever else can't be captured
    is a gap.
    """
    interpreter = ask(python, environ)
    installed, faults = distributions.read(interpreter.distributions)
    installed = record.verify(installed, progress)
    system = operating_system.read()
    own = objects.collect((*interpreter.sites, *_own_libraries(interpreter)))
    database = packages_dpkg.load()
    host, host_gaps = _host(interpreter, own, database, environ, system.machine, progress)
    libraries = (*own.found, *(host.loaded if host is not None else ()))
    graphics, gpu_gaps = gpu.read(pynvml)
    code, project_gaps = read_project(project, environ) if project is not None else (None, ())
    owned = database is not None and database.owner(str(interpreter.executable)) is not None
    gaps = (*faults, *host_gaps, *gpu_gaps, *project_gaps, *_unseen(interpreter, environ))
    return Environment(
        python=describe(interpreter, owned=owned),
        os=system,
        cpu=cpu.read(system.machine, environ, libraries),
        gpu=graphics,
        cuda=cuda.read(libraries, installed, database, interpreter.base_prefix),
        project=code,
        variables=variables.read(environ),
        distributions=installed,
        host_files=host.files if host is not None else None,
        gaps=tuple(sorted(set(gaps), key=lambda gap: (gap.subject, gap.reason))),
    )


def _host(
    interpreter: Interpreter,
    own: Objects,
    database: Database | None,
    environ: Mapping[str, str],
    machine: str,
    progress: Progress,
) -> tuple[Collected | None, tuple[Gap, ...]]:
    if database is None:
        reason = "this system has no dpkg database, so no host base can be packed"
        return None, (Gap(subject="base", reason=reason),)
    with progress.task("following libraries", None):
        found = host_files.collect(
            interpreter,
            own,
            database=database,
            definition=host_definition.read(),
            environ=environ,
            machine=machine,
        )
    return found, found.gaps


def _own_libraries(interpreter: Interpreter) -> tuple[Path, ...]:
    """Return the environment's own lib directory, where data files of wheels put shared libraries."""
    inside = interpreter.prefix != interpreter.base_prefix
    return (interpreter.prefix / "lib",) if inside else ()


def _unseen(interpreter: Interpreter, environ: Mapping[str, str]) -> tuple[Gap, ...]:
    """Return gaps for packages that a plain start of the interpreter would see and the probe does not."""
    gaps = []
    if environ.get("PYTHONPATH"):
        gaps.append(Gap(subject="PYTHONPATH", reason="it was set; what lies on it was not captured"))
    shared = interpreter.prefix == interpreter.base_prefix and interpreter.user_site.is_dir()
    if shared and any(interpreter.user_site.glob("*.dist-info")):
        gaps.append(Gap(subject="user site", reason="packages installed with --user were not captured"))
    return tuple(gaps)
