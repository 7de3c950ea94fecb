"""From an environment, live or in an image, to its lock: every part of it asked."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from envlock.capture import base_fit, homes, specification
from envlock.capture import environment as live
from envlock.capture.active import active_python
from envlock.capture.machine import with_machine
from envlock.capture.specification import Installed, Specification
from envlock.cli.request import HOST, Request
from envlock.core.progress import Progress
from envlock.engines import base_reference, bases
from envlock.engines.bases import Standing
from envlock.host.reach import Reach
from envlock.host.store import Store
from envlock.image.packing import packing_of
from envlock.lock import adoption
from envlock.lock.dependencies import with_dependencies
from envlock.lock.environment import Environment
from envlock.lock.model import Gap, Lock
from envlock.wheels import configuration, credentials, locate


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A lock. ``whole``: with what only the machine tells."""

    lock: Lock
    whole: bool = False
    reach: Reach | None = None
    """All files that it depends on; None where it depends on more, or another time may give a better one."""


def make(request: Request, store: Store, progress: Progress) -> Made:
    """Read the environment, and make its lock while the files that it names are there."""
    if request.source is not None:
        return _of_image(request.source, request, store, progress)
    with _installed(request, progress) as target:
        if request.job:
            found = live.read(
                target.python,
                project=request.project,
                environ=os.environ,
                progress=progress,
                command=request.job,
                store=store,
            )
        else:
            found = live.read_installed(target.python, environ=os.environ, progress=progress, store=store)
        lock, final = _lock(found, request, store, progress, target.environ)
    return Made(lock=lock, whole=bool(request.job), reach=found.reach if final else None)


def _of_image(source: str, request: Request, store: Store, progress: Progress) -> Made:
    # Docker's SDK takes a tenth of a second to import, and a live capture needs none of it.
    from envlock.engines import built, inspection, unpacked  # noqa: PLC0415

    with unpacked.unpacked(source, store, progress) as image:
        made = built.read(image.root)
        settings = image.configuration
        if made is not None:
            settings = replace(settings, environment=made.of_user(settings.environment))
        found = inspection.read(image.root, settings, request.python, progress)
        whole = with_machine(found, project=request.project, environ=os.environ)
        if made is not None:
            whole = replace(whole, gaps=(*whole.gaps, *made.gaps))
        lock, _ = _lock(whole, request, store, progress, earlier=None if made is None else made.lock)
    return Made(lock=lock, whole=True)


@contextmanager
def _installed(request: Request, progress: Progress) -> Iterator[Installed]:
    """Yield the environment that the user means, made first where there is only a specification of it."""
    python = request.python or active_python(os.environ, command=request.job)
    wanted = _specification(request)
    if wanted is None:
        yield Installed(python=python, environ=os.environ)
        return
    pip = {**os.environ, **configuration.pip_variables(os.environ, request.prefix)}
    pip |= {"PIP_NO_INDEX": "1"} if request.offline else {}
    pip |= {"PIP_CERT": request.ca_bundle} if request.ca_bundle else {}
    with specification.installed(wanted, python, environ=pip, progress=progress) as made:
        yield made


def _lock(
    environment: Environment,
    request: Request,
    store: Store,
    progress: Progress,
    environ: Mapping[str, str] = os.environ,
    earlier: Lock | None = None,
) -> tuple[Lock, bool]:
    """Return the lock, and whether another time would give no better one.

    ``environ`` tells where its wheels came from, and ``earlier``, what the image was built from, where
    its unchanged parts did.
    """
    # A base that is not there or does not fit is told before the wheels are looked for, and packed after.
    standing = _foreign(environment, request, store, progress)
    places = configuration.read(environ, prefix=request.prefix, project=request.project)
    with packing_of(environment.host_files, environment.python) as packs:
        with credentials.session(os.environ, places, request.ca_bundle, progress=progress) as session:
            located = locate.locate(
                environment.distributions,
                store=store,
                indexes=places.indexes,
                session=session,
                offline=request.offline,
                progress=progress,
                homes=homes.read(environment.distributions, {} if request.source else environ),
                compressor=packs.wheels,
            )
        if standing is None:
            standing = bases.on_host(environment, request.source, store, progress, packs)
        else:
            wheels = (package.wheel.name for package in located.packages)
            base_fit.check_libc(standing.os.libc, wheels, request.base)
    lock = Lock(
        python=standing.python,
        os=standing.os,
        cpu=environment.cpu,
        gpu=environment.gpu,
        cuda=environment.cuda,
        conda=environment.conda,
        libraries=standing.libraries,
        packages=located.packages,
        system_packages=standing.system_packages,
        base=standing.base,
        project=environment.project,
        environment=environment.variables,
        gaps=tuple(sorted({*environment.gaps, *located.gaps, *standing.gaps, *_stated(request)})),
    )
    lock = with_dependencies(lock, environment.distributions)
    if earlier is not None:
        lock = adoption.adopted(lock, earlier)
    return lock, located.final


def _foreign(environment: Environment, request: Request, store: Store, progress: Progress) -> Standing | None:
    """Put the environment on a base that somebody else made; None where it stands on the host's own files."""
    if request.base == HOST:
        return None
    reference = base_reference.parse(request.base, environment.python)
    # Docker's SDK takes a tenth of a second to import, and a host base needs none of it.
    from envlock.engines import foreign  # noqa: PLC0415

    return foreign.stand(reference, environment, store=store, progress=progress, ca_bundle=request.ca_bundle)


def _stated(request: Request) -> tuple[Gap, ...]:
    wanted = _specification(request)
    return () if wanted is None else (wanted.gap,)


def _specification(request: Request) -> Specification | None:
    if not request.requirements:
        return None
    return Specification(requirements=request.requirements, constraints=request.constraints)
