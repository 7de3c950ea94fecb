"""XGBoost: a booster whose parameters name no seed gets one, and the run's number of threads.

Without a seed XGBoost takes 0 in every run. Without a number of threads it takes the smaller of
OMP_NUM_THREADS and the machine's cores, and sums of its histograms follow that number.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_SEED_NAMES = ("seed", "random_state")
_THREAD_NAMES = ("nthread", "n_jobs")


def after_import(module: Any) -> None:
    """Complete the parameters of every booster that is not a copy of another one."""
    from envlock.runtime import frameworks, processes

    seed = frameworks.register_number("xgboost")
    initialise = module.Booster.__init__

    def completed_initialise(
        self: Any, params: Any = None, cache: Any = None, model_file: Any = None
    ) -> None:
        initialise(self, params, cache, model_file)
        if model_file is None:
            self.set_param(completed(dict(params or {}), seed(), frameworks.level()))

    processes.replace(module.Booster, "__init__", initialise, completed_initialise)


def completed(given: Mapping[str, Any], seed: int, level: str) -> dict[str, object]:
    """Return what ``given`` lacks under ``level``; threads of 0 or less mean the machine's cores."""
    made: dict[str, object] = {}
    if not any(given.get(name) is not None for name in _SEED_NAMES):
        made["seed"] = seed
    threads = os.environ.get("OMP_NUM_THREADS", "")
    asked = [given[name] for name in _THREAD_NAMES if given.get(name) is not None]
    if level != "none" and threads.isdigit() and not any(int(one) > 0 for one in asked):
        made["nthread"] = int(threads)
    return made
