"""Checking installed files against RECORD: which ones are no longer what was installed?

A file is hashed once for as long as its distribution stays as it is: what was found is remembered
with the status of all its files (:mod:`envlock.host.memory`), in one memory for each site-packages.
hashlib releases the interpreter lock for pieces above 2 KiB, so threads use all cores; small files
cost more in bookkeeping than in hashing.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from envlock.core.digest import Digest
from envlock.core.progress import Advance, Progress
from envlock.host.files import CHUNK, without_waiting
from envlock.host.memory import Memory
from envlock.host.observation import Observation
from envlock.host.store import Store
from envlock.lock.environment import InstalledDistribution, RecordEntry

_BATCH = 64
_LINES = 4096
_VERIFIED = "installed-files"


def verify(
    distributions: tuple[InstalledDistribution, ...], progress: Progress, store: Store | None = None
) -> tuple[InstalledDistribution, ...]:
    """Return the distributions with ``modified`` and both digests filled in, in the same order.

    What is found is remembered in ``store``; without one, every file is hashed.
    """
    total = sum(1 for one in distributions for _ in _entries(one))
    with (
        progress.task("checking installed files", total) as advance,
        _memories(distributions, store) as memories,
        _pool() as pool,
    ):
        # All begin before the first is waited for: one big file must not keep the other cores idle.
        checks = [_begin(one, memories.get(one.site), pool) for one in distributions]
        return tuple(_with_modified(check.distribution, _end(check, advance)) for check in checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """One distribution on its way. ``known`` is set where it was remembered, else ``batches``."""

    distribution: InstalledDistribution
    memory: Memory | None
    recorded: str
    before: Observation | None
    known: tuple[str, ...] | None = None
    batches: tuple[tuple[int, Future[list[str]]], ...] = ()
    """(number of files, what :func:`_differing` says of them)"""


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _memories(
    distributions: tuple[InstalledDistribution, ...], store: Store | None
) -> Iterator[Mapping[Path, Memory]]:
    sites = sorted({one.site for one in distributions}) if store is not None else []
    with ExitStack() as stack:
        yield {
            site: stack.enter_context(store.memory(_VERIFIED, str(site)))
            for site in sites
            if store is not None
        }


def _begin(distribution: InstalledDistribution, memory: Memory | None, pool: ThreadPoolExecutor) -> _Check:
    recorded, before = "", None
    if memory is not None:
        recorded, before = _recorded(distribution), memory.observe(_paths(distribution))
        known = memory.recall(distribution.dist_info, before, recorded)
        if known is not None:
            return _Check(
                distribution=distribution,
                memory=memory,
                recorded=recorded,
                before=before,
                known=tuple(known),
            )
    entries = tuple(_entries(distribution))
    batches = (entries[at : at + _BATCH] for at in range(0, len(entries), _BATCH))
    return _Check(
        distribution=distribution,
        memory=memory,
        recorded=recorded,
        before=before,
        batches=tuple(
            (len(batch), pool.submit(_differing, str(distribution.site), batch)) for batch in batches
        ),
    )


def _end(check: _Check, advance: Advance) -> tuple[str, ...]:
    if check.known is not None:
        advance(sum(1 for _ in _entries(check.distribution)))
        return check.known
    differing: list[str] = []
    for count, batch in check.batches:
        differing += batch.result()
        advance(count)
    found = sorted(differing)
    if check.memory is not None and check.before is not None:
        name, paths = check.distribution.dist_info, _paths(check.distribution)
        check.memory.keep(name, check.before, paths, found, check.recorded)
    return tuple(found)


def _with_modified(distribution: InstalledDistribution, found: tuple[str, ...]) -> InstalledDistribution:
    """Return the distribution with what :func:`_differing` found."""
    changed = {path: digest for digest, _, path in (line.partition(" ") for line in found)}
    return replace(
        distribution,
        modified=tuple(sorted(changed)),
        modified_digest=_digest_of(found) if found else None,
        content_digest=_content(distribution, changed),
    )


def _content(distribution: InstalledDistribution, changed: Mapping[str, str]) -> Digest | None:
    """Return the digest of what is imported, as it is: the same for whichever installer put it there.

    Installers write the metadata directory and what lies outside in ways of their own.
    """
    own = ("../", "/", f"{distribution.dist_info}/")
    lines = [
        f"{digest} {entry.path}"
        for entry in _entries(distribution)
        if not entry.path.startswith(own) and (digest := changed.get(entry.path, entry.sha256))
    ]
    return _digest_of(sorted(lines)) if lines else None


def _digest_of(lines: Iterable[str]) -> Digest:
    return Digest(_hash_of(lines, "\n"))


def _hash_of(lines: Iterable[str], between: str) -> str:
    """Return the SHA-256, in hex, of all lines joined; a million are not joined in memory."""
    state, waiting, before = hashlib.sha256(), iter(lines), ""
    while batch := tuple(islice(waiting, _LINES)):
        state.update((before + between.join(batch)).encode("utf-8", "surrogateescape"))
        before = between
    return state.hexdigest()


def _entries(distribution: InstalledDistribution) -> Iterator[RecordEntry]:
    """Yield what can differ: what is recorded without a hash (bytecode, RECORD itself) can't.

    Nor does bytecode that a wheel brought (NumPy 1.26 has some): installers and imports make it anew.
    """
    return (entry for entry in distribution.record if entry.sha256 and "__pycache__/" not in entry.path)


def _recorded(distribution: InstalledDistribution) -> str:
    """Return one hash of all paths and hashes that are recorded."""
    lines = (f"{entry.path}\0{entry.sha256}\0" for entry in _entries(distribution))
    return _hash_of(lines, "")


def _paths(distribution: InstalledDistribution) -> Iterator[str]:
    site = str(distribution.site)
    return (_path(site, entry.path) for entry in _entries(distribution))


def _path(site: str, path: str) -> str:
    return path if path.startswith("/") else f"{site}/{path}"


def _differing(site: str, entries: Sequence[RecordEntry]) -> list[str]:
    """Return ``HASH PATH`` of each file that is not as recorded; without a hash where it can't be read."""
    found = ((_digest(_path(site, entry.path)), entry) for entry in entries)
    return [f"{digest or ''} {entry.path}" for digest, entry in found if digest != entry.sha256]


def _digest(path: str) -> str | None:
    """Return RECORD's form of the file's SHA-256 (urlsafe base64, unpadded); None: unreadable."""
    state = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0, opener=without_waiting) as stream:
            while piece := stream.read(CHUNK):
                state.update(piece)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    return urlsafe_b64encode(state.digest()).rstrip(b"=").decode()
