"""Getting the exact wheels of a lock: from the store, beside the lock, or by its URL.

Nothing is trusted by its name or place: a wheel counts only when its bytes have the lock's SHA-256 and
size. A file in the store that was truncated or altered is fetched again, never used.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import requests

from envlock.core.progress import Advance, Progress
from envlock.core.redaction import redacted, without_tokens
from envlock.host.files import file_digest
from envlock.host.http import download
from envlock.host.store import Store
from envlock.lock.model import Package
from envlock.runtime.errors import InputError, IntegrityError, UnreachableError

_THREADS = 8


class _StoppedError(Exception):
    """Another download failed, or the user pressed Ctrl-C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetcher:
    lock_directory: Path
    store: Store
    session: requests.Session
    offline: bool
    advance: Advance
    stopped: threading.Event

    def get(self, package: Package) -> Path:
        found = self.store.find(package.wheel.sha256)
        if found is None:
            source = self._beside_lock if package.wheel.url is None else self._download
            source(package)
            found = self.store.path(package.wheel.sha256)
        else:
            self.advance(package.wheel.size)
        self._check_size(package, found.stat().st_size)
        return found

    def _beside_lock(self, package: Package) -> None:
        wheel = package.wheel
        path = self.lock_directory / str(wheel.path)
        if not path.is_file():
            raise InputError(
                f"the wheel of {package.name} {package.version} is missing",
                where=str(path),
                expected=f"{wheel.sha256}, {wheel.size} bytes",
                hint="no index has it: bring it from the machine where the lock was captured "
                "(beside that lock), or capture there again",
            )
        found = file_digest(path)
        if found != wheel.sha256:
            raise _mismatch(package, str(path), f"{found}, {path.stat().st_size} bytes")
        self.store.add_file(path, wheel.sha256)
        self.advance(wheel.size)

    def _download(self, package: Package) -> None:
        wheel = package.wheel
        url = without_tokens(redacted(str(wheel.url)))
        if self.offline:
            raise UnreachableError(
                f"the wheel of {package.name} {package.version} is not in the store",
                where=url,
                hint="run once without --offline",
            )
        try:
            with self.store.writing(wheel.sha256) as sink:
                download(self.session, str(wheel.url), sink, self._piece)
        except IntegrityError as error:
            raise _mismatch(package, url, str(error.found)) from error
        except UnreachableError as error:
            raise UnreachableError(
                f"cannot get the wheel of {package.name} {package.version}",
                where=error.where,
                found=error.found or error.what,
                hint=error.hint,
            ) from error

    def _piece(self, size: int) -> None:
        if self.stopped.is_set():
            raise _StoppedError
        self.advance(size)

    @staticmethod
    def _check_size(package: Package, size: int) -> None:
        if size != package.wheel.size:
            raise _mismatch(package, package.wheel.name, f"{package.wheel.sha256}, {size} bytes")


def fetch(
    packages: Sequence[Package],
    *,
    lock_directory: Path,
    store: Store,
    session: requests.Session,
    offline: bool,
    progress: Progress,
) -> dict[str, Path]:
    """Return the verified wheel file, in the store, of each package by its name.

    Raises IntegrityError (bytes are not the lock's; names the package), InputError (a repacked wheel is
    nowhere to be found) and UnreachableError (no network, or offline).
    """
    total = sum(package.wheel.size for package in packages)
    stopped = threading.Event()
    with progress.task("fetching wheels", total, "B") as advance:
        fetcher = _Fetcher(
            lock_directory=lock_directory,
            store=store,
            session=session,
            offline=offline,
            advance=advance,
            stopped=stopped,
        )
        paths = _all(fetcher.get, packages, stopped)
    return {package.name: path for package, path in zip(packages, paths, strict=True)}


def _all(get: Callable[[Package], Path], packages: Sequence[Package], stopped: threading.Event) -> list[Path]:
    with ThreadPoolExecutor(_THREADS) as pool:
        futures = [pool.submit(get, package) for package in packages]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            # Of the failures known by now the first package's is told.
            for future in futures:
                if future in done:
                    future.result()
        finally:
            # The rest would run to its end otherwise, gigabytes later.
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
    return [future.result() for future in futures]


def _mismatch(package: Package, where: str, found: str) -> IntegrityError:
    wheel = package.wheel
    return IntegrityError(
        f"the wheel of {package.name} {package.version} does not have the lock's hash",
        where=where,
        expected=f"{wheel.sha256}, {wheel.size} bytes",
        found=found,
        hint="the lock or the file was altered: restore it, or capture again",
    )
