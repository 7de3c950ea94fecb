"""From what the user asked for to the lock on disk, with what belongs beside it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from envlock import capture
from envlock.capture import specification
from envlock.capture.specification import Installed, Specification
from envlock.cli import inputs
from envlock.core.progress import Progress
from envlock.engines import base_reference, bases
from envlock.engines.base_reference import HOST
from envlock.engines.bases import Standing
from envlock.host.store import Store
from envlock.image import base_copies
from envlock.lock import adoption, file
from envlock.lock.environment import Environment
from envlock.lock.model import Gap, Lock, Package
from envlock.wheels import configuration, credentials, locate, sidecar


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for."""

    python: Path | None
    project: Path | None
    offline: bool
    ca_bundle: str | None
    output: Path
    source: str | None = None
    """The image or container whose environment is captured; None: this machine's."""
    base: str = HOST
    """What the image stands on."""
    verify: bool = False
    """Hash every installed file, whatever is remembered."""
    job: tuple[str, ...] = ()
    """A command to run once, whose libraries are seen as it opens them."""
    specification: Specification | None = None
    """What to install and capture instead of the environment that ``python`` names."""


def make(request: Request, progress: Progress) -> Lock:
    """Read the environment, and make its lock while the files that it names are there."""
    store = inputs.store(anew=request.verify)
    if request.source is None:
        with _installed(request, progress) as target:
            environment = capture.read(
                target.python,
                project=request.project,
                environ=os.environ,
                progress=progress,
                command=request.job,
                store=store,
            )
            return _lock(environment, request, store, progress, target.environ)
    # Docker's SDK takes a tenth of a second to import, and a live capture needs none of it.
    from envlock.engines import built, inspection, unpacked  # noqa: PLC0415

    with unpacked.unpacked(request.source, store, progress) as image:
        made = built.read(image.root)
        settings = image.configuration
        if made is not None:
            settings = replace(settings, environment=made.of_user(settings.environment))
        found = inspection.read(image.root, settings, request.python, progress)
        environment = capture.with_machine(found, project=request.project, environ=os.environ)
        return _lock(environment, request, store, progress, earlier=None if made is None else made.lock)


@contextmanager
def _installed(request: Request, progress: Progress) -> Iterator[Installed]:
    """Yield the environment that the user means, made first where there is only a specification of it."""
    python = request.python or capture.active_python(os.environ, command=request.job)
    if request.specification is None:
        yield Installed(python=python, environ=os.environ)
        return
    pip = {**os.environ, **configuration.pip_variables(os.environ, _prefix(request))}
    pip |= {"PIP_NO_INDEX": "1"} if request.offline else {}
    pip |= {"PIP_CERT": request.ca_bundle} if request.ca_bundle else {}
    with specification.installed(request.specification, python, environ=pip, progress=progress) as made:
        yield made


def _lock(
    environment: Environment,
    request: Request,
    store: Store,
    progress: Progress,
    environ: Mapping[str, str] = os.environ,
    earlier: Lock | None = None,
) -> Lock:
    """Make the lock, part by part, and write it with what belongs beside it.

    ``environ`` tells where its wheels came from, and ``earlier``, what the image was built from, where
    its unchanged parts did.
    """
    places = configuration.read(environ, prefix=_prefix(request), project=request.project)
    with credentials.session(os.environ, places, request.ca_bundle) as session:
        located = locate.locate(
            environment.distributions,
            store=store,
            indexes=places.indexes,
            session=session,
            offline=request.offline,
            progress=progress,
        )
    standing = _standing(environment, located.packages, request, store, progress)
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
    if earlier is not None:
        lock = adoption.adopted(lock, earlier)
    sidecar.ignore(request.output.parent)
    sidecar.keep(lock.packages, store, request.output.parent)
    base_copies.keep(lock.base, store, request.output.parent)
    file.write(request.output, lock)
    return lock


def _standing(
    environment: Environment,
    packages: tuple[Package, ...],
    request: Request,
    store: Store,
    progress: Progress,
) -> Standing:
    """Pack or pin the base."""
    if request.base == HOST:
        return bases.on_host(environment, request.source, store, progress)
    reference = base_reference.parse(request.base, environment.python)
    # Docker's SDK takes a tenth of a second to import, and a host base needs none of it.
    from envlock.engines import foreign  # noqa: PLC0415

    return foreign.stand(
        reference, environment, packages, store=store, progress=progress, ca_bundle=request.ca_bundle
    )


def _stated(request: Request) -> tuple[Gap, ...]:
    return () if request.specification is None else (request.specification.gap,)


def _prefix(request: Request) -> Path | None:
    """Return the environment whose pip.conf counts, where it is not the active one."""
    if request.python is None or request.source is not None:
        return None
    return request.python if request.python.is_dir() else request.python.absolute().parent.parent
