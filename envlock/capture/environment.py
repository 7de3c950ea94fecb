"""The capture: every probe in turn, and their answers as one :class:`Environment`."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from envlock.capture import (
    blas,
    conda,
    contents,
    cpu,
    cuda,
    distributions,
    host_definition,
    host_files,
    machine,
    mapped,
    objects,
    operating_system,
    owners,
    packages_select,
    reach,
    record,
    variables,
)
from envlock.capture.machine import in_order
from envlock.capture.mapped import Observed
from envlock.capture.packages_rpm import Ask
from envlock.capture.project import read as read_project
from envlock.capture.python import Interpreter, ask, describe, libc_of
from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.lock.environment import Environment
from envlock.lock.model import Gpu


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
    found = machine.with_machine(installed, project=None, environ=environ)
    return replace(found, project=code, gaps=in_order((*found.gaps, *project_gaps, *run.gaps)))


def read_installed(
    python: Path,
    *,
    environ: Mapping[str, str],
    progress: Progress,
    run: tuple[str, ...] = (),
    store: Store | None = None,
    rpm: Ask | None = None,
) -> Environment:
    """Capture what files and the interpreter tell: all but the GPU and the project's code.

    Nothing here loads a library or asks anyone but the interpreter, so that it can be done inside the
    root of an image (:mod:`envlock.capture.inside`), where ``rpm`` was asked before. Raises as :func:`read`.
    """
    interpreter = ask(python, environ)
    database, unmanaged = packages_select.load(store=store, rpm=rpm)
    installed, faults = distributions.read(interpreter.distributions)
    # Their texts are long, and no longer needed.
    interpreter = replace(interpreter, distributions=())
    installed, rivals = distributions.settled(record.verify(installed, progress, store))
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
    carried = host.files.interpreter.files if host.files.interpreter is not None else ()
    libraries = (*own.found, *host.loaded)
    owned = database.owner(str(interpreter.executable)) is not None
    prefix = None if owned else interpreter.base_prefix
    owner = owners.owners(installed, database=database, conda=prefixes, prefix=prefix)
    loaded, ownerless = owners.table(host.loaded, owner)
    left = conda.left_behind(prefixes, carried)
    gaps = (*faults, *rivals, *unmanaged, *unowned, *conda_gaps, *left, *host.gaps, *ownerless)
    return Environment(
        python=describe(interpreter, owned=owned),
        os=system,
        cpu=replace(cpu.read(system.machine, environ), blas=blas.read(libraries, python, environ)),
        gpu=Gpu(),
        cuda=cuda.read(libraries, owner, installed, environ),
        project=None,
        variables=variables.read(environ),
        distributions=installed,
        conda=prefixes.packages,
        libraries=loaded,
        host_files=host.files,
        reach=reach.of(interpreter, installed, host, database) if store is not None else None,
        gaps=in_order((*gaps, *machine.unseen(interpreter, environ), *variables.left_out(environ))),
    )


def _own_libraries(interpreter: Interpreter) -> tuple[Path, ...]:
    """Return the environment's own lib directory, where data files of wheels put shared libraries."""
    inside = interpreter.prefix != interpreter.base_prefix
    return (interpreter.prefix / "lib",) if inside else ()
