"""The capture: every probe in turn, and their answers as one :class:`Environment`."""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pynvml

from envlock.capture import (
    conda,
    contents,
    cpu,
    cuda,
    distributions,
    gpu,
    host_definition,
    host_files,
    mapped,
    objects,
    operating_system,
    owners,
    packages_select,
    record,
    variables,
)
from envlock.capture.mapped import Observed
from envlock.capture.project import read as read_project
from envlock.capture.python import Interpreter, ask, describe, libc_of
from envlock.capture.source_tree import top_level
from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.lock.environment import Environment
from envlock.lock.model import Gap, Gpu
from envlock.runtime.errors import UsageError

_ACTIVE = ("VIRTUAL_ENV", "CONDA_PREFIX")
_NAMED = 4
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


def read(
    python: Path,
    *,
    project: Path | None,
    environ: Mapping[str, str],
    progress: Progress,
    command: tuple[str, ...] = (),
    store: Store | None = None,
) -> Environment:
    """Capture the environment of the interpreter ``python`` and, where given, the project's code.

    ``command`` is run once, and what it had loaded belongs to the environment. ``store`` remembers what
    was found out about files for as long as they stay as they are. Raises UsageError or InputError when
    ``python`` can't be asked or ``command`` can't be started; whatever else can't be captured is a gap.
    """
    # The code first: what a job writes is none of it.
    code, project_gaps = read_project(project, environ) if project is not None else (None, ())
    run = mapped.observe(command, environ) if command else Observed()
    installed = read_installed(python, environ=environ, progress=progress, run=run.objects, store=store)
    found = with_machine(installed, project=None, environ=environ)
    return replace(found, project=code, gaps=_sorted((*found.gaps, *project_gaps, *run.gaps)))


def read_installed(
    python: Path,
    *,
    environ: Mapping[str, str],
    progress: Progress,
    run: tuple[str, ...] = (),
    store: Store | None = None,
) -> Environment:
    """Capture what files and the interpreter tell: all but the GPU and the project's code.

    Nothing here loads a library or asks anyone but the interpreter, so that it can be done inside the
    root of an image (:mod:`envlock.capture.inside`). Raises as :func:`read`.
    """
    interpreter = ask(python, environ)
    database, unmanaged = packages_select.load(store=store)
    installed, faults = distributions.read(interpreter.distributions)
    installed = record.verify(installed, progress, store)
    installed, unowned = contents.complete(installed, interpreter, database, environ)
    prefixes, conda_gaps = conda.read((interpreter.prefix, interpreter.base_prefix))
    installed = conda.attach(installed, prefixes)
    system = operating_system.read(libc=libc_of(interpreter, database))
    aside = contents.library_directories(installed, interpreter)
    own = objects.collect((*interpreter.sites, *_own_libraries(interpreter), *aside))
    with progress.task("following libraries", None):
        host = host_files.collect(
            interpreter,
            own,
            database=database,
            definition=host_definition.read(),
            environ=environ,
            machine=system.machine,
            conda=prefixes,
            run=run,
        )
    libraries = (*own.found, *host.loaded)
    owned = database.owner(str(interpreter.executable)) is not None
    prefix = None if owned else interpreter.base_prefix
    owner = owners.owners(installed, database=database, conda=prefixes, prefix=prefix)
    loaded, ownerless = owners.table(host.loaded, owner)
    gaps = (*faults, *unmanaged, *unowned, *conda_gaps, *host.gaps, *ownerless)
    return Environment(
        python=describe(interpreter, owned=owned),
        os=system,
        cpu=cpu.read(system.machine, environ, libraries, program=python),
        gpu=Gpu(),
        cuda=cuda.read(libraries, owner, installed, environ),
        project=None,
        variables=variables.read(environ),
        distributions=installed,
        conda=prefixes.packages,
        libraries=loaded,
        host_files=host.files,
        gaps=_sorted((*gaps, *_unseen(interpreter, environ), *variables.left_out(environ))),
    )


def with_machine(installed: Environment, *, project: Path | None, environ: Mapping[str, str]) -> Environment:
    """Return the environment with what only this machine can tell: processor, GPUs, the project's code.

    Libraries and thread settings stay those of the environment.
    """
    graphics, gpu_gaps = gpu.read(pynvml, environ)
    code, project_gaps = read_project(project, environ) if project is not None else (None, ())
    processor = cpu.read(installed.os.machine, environ, ())
    return replace(
        installed,
        cpu=replace(processor, blas=installed.cpu.blas, threads=installed.cpu.threads),
        gpu=graphics,
        project=code,
        gaps=_sorted((*installed.gaps, *gpu_gaps, *project_gaps)),
    )


def _sorted(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    return tuple(sorted(set(gaps), key=lambda gap: (gap.subject, gap.reason)))


def _own_libraries(interpreter: Interpreter) -> tuple[Path, ...]:
    """Return the environment's own lib directory, where data files of wheels put shared libraries."""
    inside = interpreter.prefix != interpreter.base_prefix
    return (interpreter.prefix / "lib",) if inside else ()


def _unseen(interpreter: Interpreter, environ: Mapping[str, str]) -> tuple[Gap, ...]:
    """Return a gap for code that a plain start of the interpreter would see and no package holds."""
    named = map(os.path.abspath, filter(None, environ.get("PYTHONPATH", "").split(os.pathsep)))
    loose = sorted(
        {one.name for entry in named if Path(entry) not in interpreter.path for one in top_level(Path(entry))}
    )
    if not loose:
        return ()
    more = f" and {len(loose) - _NAMED} more" if len(loose) > _NAMED else ""
    shown = ascii(", ".join(loose[:_NAMED]))[1:-1]
    return (Gap(subject="PYTHONPATH", reason=f"code on it was not captured: {shown}{more}"),)
