"""LightGBM: a training that names no seed gets one, and the flags that make it deterministic.

Without a seed LightGBM takes constants, so that each run of an experiment draws the same samples
whatever its seed. ``deterministic`` and ``force_row_wise`` make sums come in one order; the
scikit-learn interface counts the machine's cores unless ``n_jobs`` is a number, so the run's threads
are put in their place. What the user gives is kept.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_SEED_NAMES = ("seed", "random_seed", "random_state")
_SPLIT_NAMES = ("force_row_wise", "force_col_wise")
_DETERMINISTIC = "deterministic"
_COUNT_THREADS = "_process_n_jobs"


def after_import(module: Any) -> None:
    """Complete the parameters of every training."""
    from envlock.runtime import frameworks, processes

    seed = frameworks.register_number("lightgbm")
    initialise = module.Booster.__init__

    def completed_initialise(
        self: Any, params: Any = None, train_set: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        if train_set is not None:
            given = {**(getattr(train_set, "params", None) or {}), **(params or {})}
            params = {**completed(given, seed(), frameworks.level()), **(params or {})}
        initialise(self, params, train_set, *args, **kwargs)

    processes.replace(module.Booster, "__init__", initialise, completed_initialise)
    if frameworks.level() != "none":
        _fix_threads(getattr(module, "LGBMModel", None))


def completed(given: Mapping[str, object], seed: int, level: str) -> dict[str, object]:
    """Return what ``given`` lacks under ``level``."""
    made: dict[str, object] = {}
    if not any(given.get(name) is not None for name in _SEED_NAMES):
        made["seed"] = seed
    if level != "none" and _DETERMINISTIC not in given:
        made[_DETERMINISTIC] = True
        if not any(name in given for name in _SPLIT_NAMES):
            made["force_row_wise"] = True
    return made


def _fix_threads(model: Any) -> None:
    count = getattr(model, _COUNT_THREADS, None)
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if count is None or not threads.isdigit():
        return
    from envlock.runtime import processes

    def fixed_count(self: Any, jobs: Any) -> Any:
        return count(self, int(threads) if jobs is None or jobs < 0 else jobs)

    processes.replace(model, _COUNT_THREADS, count, fixed_count)
