"""``envlock build --backend docker``: the same environment, built by a Docker engine and pip.

Wheels are fetched here, by hash, with this command's CA bundle, proxies and logins; the engine builds without
a network. So nothing of how indexes are reached can get into an image.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from envlock.cli import inputs, plain, terminal
from envlock.cli.building import Request, gathered
from envlock.core.progress import Progress
from envlock.host.files import scratch_directory
from envlock.host.store import Store
from envlock.image import base_copies, dockerfile
from envlock.image.dockerfile import Ground
from envlock.image.plan import base_image
from envlock.runtime.errors import InputError, UsageError

_SCHEME: Final = "docker:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The image's ID in the engine, and its names."""

    identity: str
    tags: tuple[str, ...]


def tags(outputs: tuple[str, ...], tag: str | None) -> tuple[str, ...]:
    """Return the names that the image gets. Raises UsageError for outputs that an engine can't write."""
    named = [*((tag,) if tag else ()), *(one.removeprefix(_SCHEME) for one in outputs)]
    if not named or any(not one.startswith(_SCHEME) for one in outputs):
        raise UsageError(
            "--backend docker builds in the engine only",
            expected="-t TAG or -o docker:TAG",
            found=", ".join(outputs),
        )
    return tuple(dict.fromkeys(named))


def build(request: Request, names: tuple[str, ...], store: Store, progress: Progress) -> Built:
    """Build the image of the request's lock under ``names``.

    Raises UnreachableError when no engine answers or it can't build, and as gathering the wheels does.
    """
    # Slow to import, and only this backend needs it.
    from envlock.engines import docker, docker_build  # noqa: PLC0415

    source = request.source
    wheels = gathered(request, store, progress)
    base_copies.bring(source.lock.base, store, source.directory)
    base = base_image(source.lock)
    ground = Ground(base=f"envlock-base:{base.config_digest.hex[:12]}", pip=_pip())
    with progress.task("loading the base into Docker", None):
        docker.ensure(base, store, ground.base)
    with scratch_directory() as scratch, progress.task("building with Docker", None):
        directory = scratch / "context"
        emit(request, directory, wheels, ground)
        identity = docker_build.build_directory(directory, names[0])
    for name in names[1:]:
        docker.name(identity, name)
    return Built(identity=identity, tags=names)


def tell(built: Built, *, as_json: bool, quiet: bool) -> None:
    """Say what was built."""
    written = [f"docker:{tag}" for tag in built.tags]
    if as_json:
        plain.print_json({"image": built.identity, "written": written})
    elif not quiet:
        terminal.err.print(f"built {', '.join(written)}, {built.identity}", markup=False)


def write(request: Request, directory: Path, store: Store, progress: Progress) -> None:
    """Write the request's Dockerfile with the wheels that no index has."""
    source = request.source
    dockerfile.refuse_filled(directory)
    if request.bundle is not None:
        request.bundle.supply(source.lock, store, progress)
    beside = [package for package in source.lock.packages if package.wheel.path is not None]
    wheels = inputs.wheels(source, beside, store=store, network=request.network, progress=progress)
    emit(request, directory, wheels)


def emit(request: Request, directory: Path, wheels: Mapping[str, Path], ground: Ground | None = None) -> None:
    """Write the request's Dockerfile and what it needs; raises as :func:`envlock.image.dockerfile.emit`."""
    dockerfile.emit(
        request.source.lock,
        directory,
        lock_bytes=request.source.data,
        wheels=wheels,
        options=request.settings,
        project=request.project,
        ground=ground,
    )


def _pip() -> Path:
    """Return the directory of the pip that envlock itself has: pip-tools, a dependency, needs it."""
    found = importlib.util.find_spec("pip")
    if found is None or found.origin is None:
        raise InputError("pip is not installed beside envlock", hint="reinstall envlock")
    return Path(found.origin).parent
