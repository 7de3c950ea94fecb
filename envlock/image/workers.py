"""Work spread over processes, because inflating and hashing in one would leave the others idle.

Rules kept here: the largest task first, so that none is left for the end; the first error ends the
rest; an interrupt (Ctrl-C reaches every process of the terminal's group) ends each task through its
own clean-up, so that nothing half-written stays behind; a worker whose parent was killed ends too.
"""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Final, TypeVar

from envlock.runtime.errors import UnreachableError

Task = TypeVar("Task")
Result = TypeVar("Result")

# Below this many bytes, starting processes takes longer than the work.
_WORTH_PROCESSES: Final = 8 << 20


def run(
    function: Callable[[Task], Result], tasks: Sequence[Task], sizes: Sequence[int]
) -> Iterator[tuple[Task, Result]]:
    """Yield each task with its result, as they are done. ``sizes`` in bytes, one for each task.

    ``function`` is a module's own, and tasks and results can be pickled.
    """
    order = sorted(range(len(tasks)), key=lambda index: -sizes[index])
    workers = min(len(tasks), _usable_cpus())
    worth = workers > 1 and sum(sizes) >= _WORTH_PROCESSES
    pool = _pool(workers) if worth else None
    if pool is None:
        for index in order:
            yield tasks[index], function(tasks[index])
        return
    try:
        futures = {pool.submit(_interruptible, function, tasks[index]): tasks[index] for index in order}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise UnreachableError(
            "a worker process ended unexpectedly", hint="was it killed for memory? try again with more"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor | None:
    """Return processes; None where there are no semaphores for them (``/dev/shm`` is not to be written)."""
    # forkserver: the parent may have threads (progress bars, downloads), which a fork would break.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "envlock.image.layers"])
    with suppress(OSError):
        return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
    return None


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0))


def _ignore_interrupts() -> None:
    """Let an idle worker outlive Ctrl-C: its parent ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _begin() -> None:
    _ignore_interrupts()
    # A killed parent sends no word: its workers would wait for tasks for ever, and hold their memory.
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # A wheel of 10,000 files is a million objects without a cycle, which would be searched again and again.
    gc.disable()


def _interruptible(function: Callable[[Task], Result], task: Task) -> Result:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return function(task)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
