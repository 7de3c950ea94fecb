"""One file per framework: how it is seeded, and which switches make it deterministic.

Each has ``after_import(module)``, called by the import hook, which seeds the framework for this
process and sets its switches, and registers how it is seeded again when this turns out, or comes to
be, another process (fork, multiprocessing).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Seed = Callable[[bool], None]

_seeded: dict[str, Seed] = {}
# Streams that the job has seeded itself in this process.
_jobs_own: set[str] = set()


def register(stream: str, seed: Seed) -> None:
    """Seed ``stream`` now and whenever the process changes; ``seed`` is told whether that is by fork."""
    from envlock.runtime import processes

    _seeded[stream] = seed
    if not processes.watching():
        processes.watch_forks()
    seed(False)


def register_number(stream: str) -> Callable[[], int]:
    """Keep a seed for ``stream`` that fits a signed 32-bit integer; return what tells the process's own."""
    numbers = [0]

    def seed(forked: bool) -> None:  # noqa: ARG001, FBT001 - as Seed has it
        numbers[0] = take(stream, 32) & (2**31 - 1)

    register(stream, seed)
    return lambda: numbers[0]


def reseed(*, forked: bool) -> None:
    """Seed every framework that this process has loaded again."""
    _jobs_own.clear()
    for stream, seed in list(_seeded.items()):
        _again(stream, seed, forked=forked)


def reseed_for_task() -> None:
    """Seed every framework again but those that the job seeded in this process."""
    from envlock.runtime import identity
    from envlock.runtime.frameworks import unseeded

    unseeded.resume({})
    for stream, seed in list(_seeded.items()):
        if stream not in _jobs_own:
            _again(stream, seed, forked=identity.forked())


def keep(stream: str) -> None:
    """Leave ``stream`` as it is for the tasks of this process: the job has seeded it."""
    _jobs_own.add(stream)


def take(stream: str, bits: int, child: tuple[str, ...] = ()) -> int:
    """Return the seed of ``stream`` for this process, and tell the record of it."""
    from envlock.runtime import identity, seeds, spool

    value = seeds.current().seed_for(stream, bits, child)
    if not child and identity.is_listed():
        spool.report_seed(identity.label(), stream, value)
    return value


def inherits(*, forked: bool) -> bool:
    """Whether this process keeps the generator state that it was forked with.

    Under ``uniform`` it does: that scheme is for results of scripts that seeded once, and their
    workers went on from the parent's state.
    """
    return forked and os.environ.get("ENVLOCK_SCHEME") == "uniform"


def level() -> str:
    """Return the run's determinism level: none, warn or strict."""
    return os.environ.get("ENVLOCK_DETERMINISM") or "warn"


def portable() -> bool:
    """Whether the run wants the same bits on every x86-64-v3 CPU."""
    return os.environ.get("ENVLOCK_ISA") == "portable"


def _again(stream: str, seed: Seed, *, forked: bool) -> None:
    from envlock.runtime import hook

    try:
        seed(forked)
    except Exception as error:  # noqa: BLE001 - whatever it is, the job comes first
        hook.failed(f"cannot seed {stream} again", error)
