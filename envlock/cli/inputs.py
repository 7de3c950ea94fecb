"""What commands that build from a lock begin with: the lockfile as read, and its wheels."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from envlock.core.progress import Progress
from envlock.host.store import Store, default_root
from envlock.lock import codec, file
from envlock.lock.model import Lock, Package
from envlock.wheels import configuration, credentials
from envlock.wheels.fetch import fetch


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


def store(*, anew: bool = False) -> Store:
    """Return this user's store, which nobody prunes until the command has ended."""
    found = Store(default_root(os.environ), anew=anew)
    click.get_current_context().with_resource(found.used())
    return found


def read(path: Path) -> Source:
    """Read a lockfile. Raises as :func:`envlock.lock.file.read` does."""
    data = file.read_bytes(path)
    return Source(lock=codec.loads(data, str(path)), data=data, directory=path.resolve().parent)


def wheels(
    source: Source, packages: Sequence[Package], *, store: Store, network: Network, progress: Progress
) -> dict[str, Path]:
    """Return the verified wheel of each of ``packages``. Raises as :func:`fetch`."""
    places = configuration.read(os.environ)
    with credentials.session(os.environ, places, network.ca_bundle) as session:
        return fetch(
            packages,
            lock_directory=source.directory,
            store=store,
            session=session,
            offline=network.offline,
            progress=progress,
        )
