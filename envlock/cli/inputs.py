"""What commands that build from a lock begin with: the lockfiles as read, a bundle, and the wheels."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from envlock.cli.options import DEFAULT_LOCK
from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.image.bundle import Bundle, open_bundle
from envlock.lock import codec, file
from envlock.lock.model import Lock, Package
from envlock.oci.name import typed
from envlock.oci.registry.reference import SCHEME, Reference
from envlock.runtime.errors import UsageError
from envlock.wheels.held import held


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The lockfile as read: its value, its exact bytes and where it lies."""

    lock: Lock
    data: bytes
    directory: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What the user allows and states of it."""

    offline: bool
    ca_bundle: str | None


def read(path: Path) -> Source:
    """Read a lockfile. Raises as :func:`envlock.lock.file.read` does."""
    data = file.read_bytes(path)
    return Source(lock=codec.loads(data, str(path)), data=data, directory=path.resolve().parent)


def bundle(reference: str, ca_bundle: str | None, progress: Progress) -> Bundle:
    """Open a bundle; one in a registry stays connected until the command ends. Raises as what opens it."""
    if not reference.startswith(SCHEME):
        return open_bundle(reference)
    # HTTP's library takes a tenth of a second to import, and most builds need none of it.
    from envlock.image.pushed_bundle import open_pushed  # noqa: PLC0415
    from envlock.oci.registry.client import connected  # noqa: PLC0415

    with typed(f"--from {reference}"):
        named = Reference.parse(reference.removeprefix(SCHEME))
    context = click.get_current_context()
    return open_pushed(context.with_resource(connected(named, os.environ, ca_bundle, progress)))


def read_all(locks: tuple[Path, ...], brought: Bundle | None) -> tuple[Source, ...]:
    """Return the locks that were named, else the bundle's own, else the default one.

    Raises UsageError for two of one platform, of which an index can name only one.
    """
    if not locks and brought is not None:
        return (Source(lock=brought.lock, data=brought.lock_bytes, directory=Path.cwd()),)
    paths = locks or (DEFAULT_LOCK,)
    found = tuple(map(read, paths))
    of: dict[str, Path] = {}
    for path, source in zip(paths, found, strict=True):
        other = of.setdefault(source.lock.platform, path)
        if other is not path:
            raise UsageError(
                "two locks are for one platform",
                where=f"{other} and {path}",
                expected="one lock for each platform",
                found=f"{source.lock.platform} twice",
                hint="build them one after the other, each under a name of its own",
            )
    return found


def wheels(
    source: Source, packages: Sequence[Package], *, store: Store, network: Network, progress: Progress
) -> dict[str, Path]:
    """Return the verified wheel of each of ``packages``. Raises as :func:`envlock.wheels.fetch.fetch`."""
    found = held(packages, store)
    lacking = [one for one in packages if one.name not in found]
    if lacking:
        found |= _fetched(lacking, source, store, network, progress)
    return found


def _fetched(
    lacking: Sequence[Package], source: Source, store: Store, network: Network, progress: Progress
) -> dict[str, Path]:
    # HTTP's library again.
    from envlock.wheels import configuration, credentials  # noqa: PLC0415
    from envlock.wheels.fetch import fetch  # noqa: PLC0415

    places = configuration.read(os.environ)
    with credentials.session(os.environ, places, network.ca_bundle, progress=progress) as session:
        return fetch(
            lacking,
            lock_directory=source.directory,
            store=store,
            session=session,
            offline=network.offline,
            progress=progress,
        )
