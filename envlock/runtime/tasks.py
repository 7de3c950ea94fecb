"""Seeds by task where the processes of a pool take tasks at will.

Which worker takes which task is a race, so a worker's own stream would give a task other numbers in
each run. A worker therefore becomes, for the time of a task, the process that the task's number
names (``identity.py``) and is seeded as that:

- ``concurrent.futures`` and joblib's processes: ``t<n>``, n the order in which this process handed
  its tasks out;
- ``multiprocessing.Pool``: ``m<job>`` and the chunk's number, which Pool itself gives; ``map`` cuts
  its items into chunks by the number of workers. ``d<job>`` in ``multiprocess``, which has a count of
  its own.

A generator that the job has seeded in the worker itself, in an initializer or a task, is left alone.
So is everything under ``scheme: uniform``, where workers go on from their parent's state, and in
threads, which share their process's generators.
"""

from __future__ import annotations

import os
import sys

from envlock.runtime import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# The record lists the seeds of that many tasks of each kind; the others' follow from their numbers.
_MOST_LISTED = 100
_PROCESSES = ("LokyBackend", "MultiprocessingBackend")


class Task:
    """A function that seeds the process which calls it, unless that is the one which made the task."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Number the task."""
        self.function = function
        self.path, self.number = identity.next_task()
        self.made_by = os.getpid()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        if os.getpid() != self.made_by:
            _begin(self.path, self.number)
        return self.function(*args, **kwargs)


def number_futures(module: Any) -> None:
    """Have ``concurrent.futures.process`` number what it is given."""
    from envlock.runtime import processes

    submit = module.ProcessPoolExecutor.submit

    def numbered_submit(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args and _by_task():
            args = (Task(args[0]), *args[1:])
        return submit(self, *args, **kwargs)

    processes.replace(module.ProcessPoolExecutor, "submit", submit, numbered_submit)
    number_executor(module)


def number_executor(module: Any) -> None:
    """Have the workers that an executor makes as tasks come, or loky for idle ones, not count."""
    from envlock.runtime import processes

    processes.number_workers_apart(module.ProcessPoolExecutor, "_adjust_process_count")


def number_joblib(module: Any) -> None:
    """Have ``joblib.parallel`` number the tasks of its processes; batches are cut by their duration.

    What such a task hands to joblib again would run in threads of its worker, which draw from one
    generator in turn as it comes (StackingClassifier with ``n_jobs``): it runs one after the other.
    """
    from envlock.runtime import frameworks, processes

    dispatch = getattr(module.Parallel, "_dispatch")  # noqa: B009 - private, and the only way in

    def numbered_dispatch(self: Any, batch: Any) -> Any:
        if type(self._backend).__name__ in _PROCESSES and _by_task():
            batch.items = [(Task(function), *given) for function, *given in batch.items]
            if frameworks.level() != "none":
                batch._backend = module.SequentialBackend(nesting_level=1)  # noqa: SLF001 - as above
        return dispatch(self, batch)

    processes.replace(module.Parallel, "_dispatch", dispatch, numbered_dispatch)


def number_pool(module: Any) -> None:
    """Have the workers of ``multiprocessing.pool`` begin each task that they take."""
    from envlock.runtime import processes

    worker = module.worker
    letter = "m" if module.__name__ == "multiprocessing.pool" else "d"

    def numbered_worker(inqueue: Any, *args: Any, **kwargs: Any) -> Any:
        if _by_task() and _is_main_thread():
            inqueue = _Taken(inqueue, letter)
        return worker(inqueue, *args, **kwargs)

    processes.replace(module, "worker", worker, numbered_worker)
    processes.number_workers_apart(module.Pool, "_maintain_pool")


class _Taken:
    """A worker's queue of tasks."""

    def __init__(self, queue: Any, letter: str) -> None:
        self._queue = queue
        self._letter = letter
        self._parent = identity.parent_path()

    def __getattr__(self, attribute: str) -> object:
        return getattr(self._queue, attribute)

    def get(self) -> Any:
        """Return the next task, (job, chunk, …), having begun it; None is the end."""
        task = self._queue.get()
        if task is not None:
            job, chunk = task[:2]
            _begin((*self._parent, f"{self._letter}{job}", str(chunk)), max(job, chunk))
        return task


def _by_task() -> bool:
    return os.environ.get("ENVLOCK_SCHEME") != "uniform"


def _is_main_thread() -> bool:
    """Whether this is no thread of a ThreadPool, which runs the same function."""
    threading = sys.modules["threading"]
    return threading.current_thread() is threading.main_thread()


def _begin(path: tuple[str, ...], number: int) -> None:
    from envlock.runtime import frameworks

    identity.adopt(path, os.environ, listed=number < _MOST_LISTED)
    frameworks.reseed_for_task()
