"""All that an answer about a machine depends on, looked at as one (docs/adr/0025-remembered-lock.md).

Rules kept here:

* Of a tree every name counts, with the status of its file. Bytecode caches (``__pycache__``) are passed
  over, since interpreters write there without asking and no answer depends on them.
* A link counts as itself and as what it leads to. One to a directory is followed where that is a package,
  as imports follow it.
* What can't be looked into, and what is not there, counts as that.
* More names than LARGEST are no basis for anything: the answer is found anew each time.
"""

import hashlib
import os
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Final

from envlock.host import look
from envlock.host.conversation import Conversation
from envlock.host.look import Look, Seen
from envlock.host.observation import SETTLED_AFTER, Clock, Observation
from envlock.runtime.errors import UnreachableError

LARGEST = 2_000_000
"""Names in all; to look at that many takes ten seconds."""

SHARED: Final = 1_024
"""Directories still to be seen from which on a second process sees half of them."""

_LOOKING: Final = (sys.executable, "-I", "-S", "-B", str(look.__file__))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Absolute paths, each once."""

    trees: tuple[str, ...] = ()
    """Directories with all that lies below them."""
    without: tuple[str, ...] = ()
    """Directories in trees that do not count."""
    listings: tuple[str, ...] = ()
    """Directories with what lies in them."""
    files: tuple[str, ...] = ()

    def observe(self, clock: Clock = time.time_ns, largest: int = LARGEST) -> Observation:
        """Look at all of it. Settled: nothing in it had changed for some seconds at ``clock``.

        So what is settled at the time before some work was the same all through the work.
        """
        own = Look(largest)
        for path in self.files:
            own.file(path)
        for path in self.listings:
            own.directory(path)
        seen = {*self.trees, *self.without}
        waiting, left = own.trees(list(self.trees), seen, SHARED), own.left
        digest, newest, others_left = _halved(own, waiting, seen)
        both = hashlib.sha256(f"{own.digest} {digest}".encode()).hexdigest()
        settled = max(own.newest, newest) + SETTLED_AFTER <= clock()
        return Observation(both, settled and own.left + others_left > left)


def _halved(own: Look, waiting: list[str], seen: set[str]) -> Seen:
    """Look at one half of ``waiting`` with ``own``, and elsewhere at the other; return what was seen there.

    The same is seen whether a second process looks or this one.
    """
    mine, others, left = waiting[::2], waiting[1::2], own.left
    if others and len(os.sched_getaffinity(0)) > 1:
        with suppress(UnreachableError), closing(Conversation(_LOOKING, env={})) as second:
            second.send(look.request(others, seen, left))
            own.trees(mine, set(seen))
            mine = []
            return look.answer(second.receive())
    own.trees(mine, set(seen))
    return look.below(others, sorted(seen), left)
