"""Where everything lies that was looked at, so that the next time only statuses need be asked.

Rules kept here (docs/adr/0025-remembered-lock.md):

* A directory that has not changed holds the same names: its own status stands for them, and nothing is
  listed. So a bytecode cache that an interpreter makes changes what is seen here: then the directories
  are looked into (:mod:`envlock.host.look`), which costs time and no more.
* What leads elsewhere, or was not there, is looked at as it was the first time.
"""

import hashlib
import marshal
import os
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Final, Self

from envlock.host import statuses
from envlock.host.conversation import Conversation
from envlock.host.look import Look
from envlock.host.observation import SETTLED_AFTER, Clock, Observation
from envlock.runtime.errors import UnreachableError

SHARED: Final = 1_024
"""A half of more directories than these is looked at by a second process."""

_LOOKING: Final = (sys.executable, "-I", "-S", "-B", str(statuses.__file__))


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """``listed``: as :func:`envlock.host.statuses.seen` takes them; ``others``: paths."""

    listed: tuple[tuple[str, str], ...]
    others: tuple[str, ...]

    @classmethod
    def of(cls, look: Look) -> Self:
        """Return all that was looked at."""
        listed = tuple((directory, "/".join(names)) for directory, names in look.listed.items())
        return cls(listed=listed, others=tuple(look.others))

    def observe(self, clock: Clock = time.time_ns) -> Observation | None:
        """Look at all of it; None where something is not there any more.

        Settled: nothing had changed for some seconds at ``clock``.
        """
        look = Look(len(self.others))
        for path in self.others:
            look.file(path)
        try:
            seen = _both(list(self.listed[::2]), list(self.listed[1::2]))
        except OSError:
            return None
        newest = max(look.newest, *(changed for changed, _ in seen))
        told = hashlib.sha256(look.digest.encode())
        for _, found in seen:
            told.update(found)
        return Observation(told.hexdigest(), newest + SETTLED_AFTER <= clock())


def _both(
    mine: list[tuple[str, str]], others: list[tuple[str, str]]
) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
    """Look at ``mine``, and elsewhere at ``others``.

    The same is seen whether a second process looks or this one.
    """
    if len(others) > SHARED and len(os.sched_getaffinity(0)) > 1:
        with suppress(UnreachableError), closing(Conversation(_LOOKING, env={})) as second:
            second.send(marshal.dumps(others, statuses.FORMAT))
            own = statuses.seen(mine)
            return own, marshal.loads(second.receive())  # noqa: S302 # our own process's
    return statuses.seen(mine), statuses.seen(others)
