"""scikit-learn: two places where threads add floats in the order in which they end.

Both were measured to differ from run to run (docs/determinism.md), whatever ``random_state`` says:

- KMeans adds each thread's part of the centres under a lock. Two parts give the same sum either way,
  so two threads are kept and more are not used;
- a forest of trees adds each tree's prediction under a lock: trees predict one after the other.
  Training is not touched, since each tree has its own seed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST_THREADS = 2
_COUNT = "_openmp_effective_n_threads"
_PARTITION = "_partition_estimators"


def after_kmeans(module: Any) -> None:
    """Have KMeans, or what bisects with it, use two threads at most."""
    from envlock.runtime import frameworks, processes

    count = getattr(module, _COUNT)

    def fixed_count(*args: Any, **kwargs: Any) -> Any:
        return min(_MOST_THREADS, count(*args, **kwargs))

    if frameworks.level() != "none":
        processes.replace(module, _COUNT, count, fixed_count)


def after_forest(module: Any) -> None:
    """Have a forest's predictions added up by one thread, in the trees' order."""
    from envlock.runtime import frameworks, processes

    partition = getattr(module, _PARTITION)

    def one_job(n_estimators: int, n_jobs: Any) -> Any:  # noqa: ARG001 - as the one that it replaces
        return partition(n_estimators, 1)

    if frameworks.level() != "none":
        processes.replace(module, _PARTITION, partition, one_job)
