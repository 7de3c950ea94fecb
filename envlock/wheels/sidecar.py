"""The wheels that travel beside a lock, because no index has them: ``.envlock/wheels``."""

from collections.abc import Sequence
from pathlib import Path

from envlock.host.files import atomic_write
from envlock.host.store import Store
from envlock.lock.model import Package
from envlock.runtime.errors import InputError

DIRECTORY = ".envlock"


def keep(packages: Sequence[Package], store: Store, lock_directory: Path) -> None:
    """Copy each package's ``path`` wheel from the store to its place beside the lock.

    A file that is there with the right bytes is left alone. The ``.envlock`` directory ignores itself
    in git. Raises InputError when the store does not have a wheel.
    """
    travelling = [package for package in packages if package.wheel.path is not None]
    if not travelling:
        return
    ignore(lock_directory)
    for package in travelling:
        if not store.copy_out(package.wheel.sha256, lock_directory / str(package.wheel.path)):
            raise InputError(
                f"the wheel of {package.name} {package.version} is not in the store",
                where=package.wheel.name,
                expected=str(package.wheel.sha256),
                hint="capture again",
            )


def ignore(lock_directory: Path) -> None:
    """Make ``.envlock`` with a ``.gitignore`` of its own, so that no user commits gigabytes."""
    note = lock_directory / DIRECTORY / ".gitignore"
    if not note.exists():
        with atomic_write(note) as stream:
            stream.write(b"*\n")
