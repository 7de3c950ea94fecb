"""Lending directories to another user of this machine, for root only."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def lent(places: Iterable[Path], uid: int, gid: int) -> Iterator[None]:
    """Let ``uid`` write into ``places`` for the block; what it made there is the caller's afterwards.

    Only the directories themselves change hands, not what was in them. Links are never followed.
    """
    owners = [(place, place.stat()) for place in places]
    for place, _ in owners:
        os.chown(place, uid, gid)
    try:
        yield
    finally:
        for place, before in reversed(owners):
            for found in _owned(place, uid):
                os.chown(found, os.geteuid(), os.getegid(), follow_symlinks=False)
            os.chown(place, before.st_uid, before.st_gid)


def _owned(top: Path, uid: int) -> Iterator[str]:
    for directory, names, files in os.walk(top):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            if os.lstat(path).st_uid == uid:
                yield path
