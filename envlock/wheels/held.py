"""The wheels of a lock that the store has, found without the network and its libraries."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from envlock.host.store import Store
from envlock.lock.model import Package


def held(packages: Sequence[Package], store: Store) -> dict[str, Path]:
    """Return by its package's name each wheel that ``store`` has with the lock's bytes and size."""

    def find(package: Package) -> Path | None:
        found = store.find(package.wheel.sha256)
        return found if found is not None and found.stat().st_size == package.wheel.size else None

    with ThreadPoolExecutor() as threads:  # hashing releases the interpreter's lock
        paths = list(threads.map(find, packages))
    return {one.name: path for one, path in zip(packages, paths, strict=True) if path is not None}
