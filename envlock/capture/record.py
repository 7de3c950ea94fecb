"""Checking installed files against RECORD: which ones are no longer what was installed?

Every file is read and hashed once. hashlib releases the interpreter lock for pieces above 2 KiB, so
threads use all cores; small files cost more in bookkeeping than in hashing.
"""

import hashlib
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from envlock.core.progress import Progress
from envlock.host.files import CHUNK
from envlock.lock.environment import InstalledDistribution, RecordEntry

_BATCH = 64


def verify(
    distributions: tuple[InstalledDistribution, ...], progress: Progress
) -> tuple[InstalledDistribution, ...]:
    """Return the distributions with ``modified`` filled in, in the same order."""
    # What is not recorded with a hash (bytecode, RECORD itself) can't differ from it.
    checks = [
        (index, os.path.join(distribution.site, entry.path), entry)
        for index, distribution in enumerate(distributions)
        for entry in distribution.record
        if entry.sha256 is not None
    ]
    batches = [checks[at : at + _BATCH] for at in range(0, len(checks), _BATCH)]
    modified: dict[int, list[str]] = {}
    with progress.task("checking installed files", len(checks)) as advance, ThreadPoolExecutor() as pool:
        for batch, differing in zip(batches, pool.map(_differing, batches), strict=True):
            for index, path in differing:
                modified.setdefault(index, []).append(path)
            advance(len(batch))
    return tuple(
        replace(distribution, modified=tuple(sorted(modified.get(index, ()))))
        for index, distribution in enumerate(distributions)
    )


def _differing(checks: Iterable[tuple[int, str, RecordEntry]]) -> list[tuple[int, str]]:
    return [(index, entry.path) for index, path, entry in checks if _digest(path) != entry.sha256]


def _digest(path: str) -> str | None:
    """Return RECORD's form of the file's SHA-256 (urlsafe base64, unpadded); None: unreadable."""
    state = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as stream:
            while piece := stream.read(CHUNK):
                state.update(piece)
    except OSError:
        return None
    return urlsafe_b64encode(state.digest()).rstrip(b"=").decode()
