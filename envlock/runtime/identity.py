"""Who this process is among the processes of a run: its rank and its ``proc/<k>`` path.

The main process of a rank has the empty path. A child appends the ordinal in which its parent made
it. What a child learns through its environment stands in ENVLOCK_PROC, ``owner|rank|path``:

- owner is the process whose path it is, 0 for "whoever starts first": a parent that numbers its child
  can't know the child's process id yet, and there may be a shell between the two;
- rank is the signature (``torchrun:3/8``) under which the path was given. A process that sees another
  rank in its environment is the main process that a launcher made for that rank: its path is empty,
  so that ``ranks: shared`` means shared and every launcher gives the same seeds;
- path is dotted ordinals, ``0.3``; what is no child has a letter first: ``s<k>`` a service of
  multiprocessing, ``w<k>`` a worker that a pool made because it needed one, ``u<k>`` a child that
  nobody numbered, ``t<k>``, ``m<k>`` and ``d<k>`` tasks (``tasks.py``).

A process that finds somebody else's path was made by a parent that numbers nothing. Claims in the
spool number it, in order of start: below owner 0 the first claim takes the path itself (a shell
script around one Python program changes nothing) and later ones ``<k>``; below a Python parent
(``os.system``) all take ``u<k>``. After exec, the owner finds itself and stays who it was.

Loaded by every Python process of a job, so it imports next to nothing.
"""

from __future__ import annotations

import os

from envlock.runtime import rank, spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

VARIABLE = "ENVLOCK_PROC"


class _State:
    """This process's path and how many children it has numbered. One a process, changed by fork."""

    def __init__(self) -> None:
        self.rank: rank.Rank | None = None
        self.path: tuple[str, ...] = ()
        self.children = 0
        self.services = 0
        self.tasks = 0
        self.workers = 0
        self.forked = False
        self.listed = True


_state = _State()


def join_run(environ: MutableMapping[str, str]) -> None:
    """Find out who this process is, and write that into ``environ`` for what it starts or execs."""
    _state.rank = rank.detect(environ)
    _state.path = _found_path(environ.get(VARIABLE, ""), _state.rank.signature)
    _publish(environ)


def process_path() -> tuple[str, ...]:
    """Return the path's elements, ``("proc/0", "proc/3")``; empty in a rank's main process."""
    return tuple(f"proc/{token}" for token in _state.path)


def own_rank() -> rank.Rank:
    """Return the rank that this process began with; outside a run, what its environment says now.

    Workers that are told a rank later (``os.environ["RANK"] = …``) stay children of their parent.
    """
    return _state.rank or rank.detect(os.environ)


def label() -> str:
    """Return how a record names this process: ``rank/3/proc/0``."""
    return "/".join((f"rank/{own_rank().rank}", *process_path()))


def next_child() -> tuple[str, ...]:
    """Return the dotted path's parts of the next child, counting it."""
    token = str(_state.children)
    _state.children += 1
    return (*_state.path, token)


def next_service() -> tuple[str, ...]:
    """Return the path of the next process that multiprocessing starts for itself."""
    token = f"s{_state.services}"
    _state.services += 1
    return (*_state.path, token)


def next_worker() -> tuple[str, ...]:
    """Return the path of the next worker that one of this process's pools makes when it needs one."""
    token = f"w{_state.workers}"
    _state.workers += 1
    return (*_state.path, token)


def next_task() -> tuple[tuple[str, ...], int]:
    """Return the path and the number of the next task that this process hands to a pool's workers."""
    number = _state.tasks
    _state.tasks += 1
    return (*_state.path, f"t{number}"), number


def parent_path() -> tuple[str, ...]:
    """Return the path of the process that made this one."""
    return _state.path[:-1]


def counters() -> tuple[int, int, int, int]:
    """Return how many children, services, tasks and workers when needed this process has numbered."""
    return _state.children, _state.services, _state.tasks, _state.workers


def resume(children: int, services: int, tasks: int = 0, workers: int = 0) -> None:
    """Number on from what :func:`counters` returned in the run that goes on here."""
    _state.children, _state.services, _state.tasks, _state.workers = children, services, tasks, workers


def forked() -> bool:
    """Whether this process was forked from one that was seeded, and no program was executed since."""
    return _state.forked


def is_listed() -> bool:
    """Whether the record lists what this process is given."""
    return _state.listed


def adopt(path: tuple[str, ...], environ: MutableMapping[str, str], *, listed: bool = True) -> bool:
    """Become the process of ``path``, which has made no child yet. Return whether that is a change."""
    changed = path != _state.path
    _state.path = path
    _state.listed = listed
    if changed:
        resume(0, 0)
    _publish(environ)
    return changed


def adopt_forked(path: tuple[str, ...], environ: MutableMapping[str, str]) -> None:
    """Become the forked child of ``path``."""
    _state.forked = True
    adopt(path, environ)


def variable_for(path: tuple[str, ...]) -> str:
    """Return ENVLOCK_PROC's value for a child of ``path``, whatever its process id."""
    return f"0|{own_rank().signature}|{'.'.join(path)}"


def _publish(environ: MutableMapping[str, str]) -> None:
    environ[VARIABLE] = f"{os.getpid()}|{own_rank().signature}|{'.'.join(_state.path)}"


def _found_path(text: str, signature: str) -> tuple[str, ...]:
    owner, _, rest = text.partition("|")
    given_under, _, dotted = rest.partition("|")
    path = tuple(dotted.split(".")) if dotted else ()
    if given_under != signature:
        return ()
    if owner == str(os.getpid()):
        return path
    claimed = spool.claim(f"{signature}|{owner}|{dotted}")
    if owner != "0":
        return (*path, f"u{claimed}")
    return (*path, str(claimed)) if claimed else path
