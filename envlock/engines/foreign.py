"""An environment on a base that somebody else made: found, checked, pinned; and fetched again for a build."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from envlock.capture import base_fit
from envlock.capture.base_contents import BaseContents
from envlock.core.progress import Progress
from envlock.engines import docker_build, inspection, unpacked
from envlock.engines.base_reference import BaseReference
from envlock.engines.bases import Standing
from envlock.host.store import Store
from envlock.image import base_bytecode, foreign_base, interpreter
from envlock.image.bytecode import Compiler
from envlock.image.interpreter import InterpreterError
from envlock.lock.environment import Environment
from envlock.lock.model import Base, BaseLayer, Gap, Pairs, Python
from envlock.oci.reader import OpenedImage
from envlock.oci.registry.client import connected
from envlock.oci.registry.pull import fetch
from envlock.oci.registry.reference import Reference
from envlock.runtime.errors import InputError

_CA_HINT: Final = (
    "--ca-bundle does not reach a Docker build, whose layers would keep it; where the Dockerfile needs it, "
    "build it with docker build --secret, and capture with --base docker-daemon:NAME"
)


def stand(
    reference: BaseReference,
    environment: Environment,
    *,
    store: Store,
    progress: Progress,
    ca_bundle: str | None = None,
) -> Standing:
    """Put ``environment`` on the base; its layers are then in ``store``.

    Whether the base's C library carries the wheels is for :func:`envlock.capture.base_fit.check_libc`.

    Raises InputError when the base is not there or does not carry the environment, UnreachableError when
    a registry or an engine does not answer, IntegrityError for wrong bytes.
    """
    where = str(reference)
    with opened(reference, store, progress, ca_bundle) as image:
        settings = unpacked.for_this_machine(image.image.config, where)
        layers = foreign_base.pin(image, store, progress)
        privileged = foreign_base.privileged(image, store)
        # An engine keeps no manifest: there, the image's ID is its config's digest.
        in_engine = reference.kind in ("docker-daemon", "dockerfile", "docker-archive")
        digest = image.image.config_digest if in_engine else image.image.digest
    root = interpreter.tree(layers, store, progress)
    foreign_base.check_places(root, where)
    needed = environment.host_files.needed if environment.host_files is not None else ()
    sonames = [name for name, _ in needed]
    brought = inspection.contents(root, settings, environment.python.minor, sonames, progress)
    chosen = base_fit.chosen(brought, environment.python, where)
    kept, dropped = foreign_base.variables(settings.environment)
    base = Base(
        kind=reference.kind,
        layers=layers,
        reference=reference.name,
        digest=digest,
        python=chosen.executable,
        user="" if settings.user.partition(":")[0] in ("", "0", "root") else settings.user,
        environment=kept,
    )
    top, gaps = _on_top(base, chosen.python, root, store, progress)
    return Standing(
        base=replace(base, layers=(*layers, *top)),
        python=chosen.python,
        os=replace(brought.os, libc=chosen.libc),
        system_packages=brought.packages,
        libraries=_libraries(environment, brought),
        gaps=(*gaps, *base_fit.absent(needed, brought), *_left_out(dropped), *_privileged(privileged)),
    )


@contextmanager
def opened(
    reference: BaseReference, store: Store, progress: Progress, ca_bundle: str | None = None
) -> Iterator[OpenedImage]:
    """Yield the base as it lies in its registry, its engine or on this disk."""
    if reference.kind == "docker-daemon":
        name = f"docker:{reference.target}"
    elif reference.kind == "dockerfile":
        name = f"docker:{_built(Path(reference.target), progress, ca_bundle)}"
    else:
        name = str(reference)
    with unpacked.opened(name, store, progress, ca_bundle) as image:
        yield image


def bring(base: Base, store: Store, progress: Progress, ca_bundle: str | None = None) -> None:
    """Fetch those of the base's layers that a registry has and ``store`` has not.

    Raises InputError when the registry has them no more, UnreachableError when it does not answer,
    IntegrityError for other bytes than the lock's.
    """
    lacking = {
        layer.blob: layer.size
        for layer in base.layers
        if base.is_fetched(layer) and store.find(layer.blob) is None
    }
    if not lacking or base.reference is None:
        return
    named = replace(Reference.parse(base.reference), digest=base.digest)
    with connected(named, os.environ, ca_bundle, progress) as repository:
        fetch(repository, lacking, store=store, progress=progress)


def _built(dockerfile: Path, progress: Progress, ca_bundle: str | None) -> str:
    try:
        text = dockerfile.read_bytes()
    except OSError as error:
        found = os.strerror(error.errno or 0)
        raise InputError("no such Dockerfile", where=str(dockerfile), found=found) from error
    with progress.task(f"building {dockerfile.name} with Docker", None):
        return docker_build.build(text, os.environ, None if ca_bundle is None else _CA_HINT)


def _on_top(
    base: Base, python: Python, root: Path, store: Store, progress: Progress
) -> tuple[tuple[BaseLayer, ...], tuple[Gap, ...]]:
    compiler = Compiler(
        identity=interpreter.identity(base.layers),
        prepared=lambda: interpreter.prepared(base, python, store, progress),
        store=store,
        progress=progress,
    )
    links = foreign_base.links(root, base, python, store)
    try:
        bytecode = foreign_base.bytecode(compiler, python)
    except InterpreterError:
        reason = "the base's interpreter does not run here"
        return (links,), (Gap(subject=base_bytecode.COMMENT, reason=reason),)
    return (links, *bytecode), ()


def _libraries(environment: Environment, brought: BaseContents) -> Pairs:
    """Return whose each library is: those of wheels stay, the rest is the base's."""
    own = {name: owner for name, owner in environment.libraries if owner.startswith("wheel:")}
    return tuple(sorted({**dict(brought.libraries), **own}.items()))


def _privileged(programs: tuple[str, ...]) -> Iterator[Gap]:
    if programs:
        reason = (
            f"the base's programs that run with their owner's rights do in the image: {', '.join(programs)}"
        )
        yield Gap(subject="setuid", reason=reason, harmless=True)


def _left_out(variables: tuple[str, ...]) -> Iterator[Gap]:
    for name in variables:
        reason = (
            "the base sets this variable and the image does not: it leads Python elsewhere, or is a secret"
        )
        yield Gap(subject=name, reason=reason, harmless=True)
