"""Doing something the moment a known module has been imported.

A finder at the front of ``sys.meta_path`` answers for a handful of names only: it asks the finders
behind it and has their loader run our part after the module's own code. The loader keeps its type
(only its ``exec_module`` is covered, for one call), so that resources, sources and lazy importers
work as before; a loader that can't take an attribute (frozen, built-in, zipimport before 3.10) gets a
stand-in. ``importlib.reload`` passes here again, and the module is seeded again.

Loaded by every Python process of a job, so it imports next to nothing.
"""

from __future__ import annotations

import os
import sys

from envlock.runtime import entropy, identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    After = Callable[[ModuleType], None]

# Module → (the module of envlock.runtime that knows it, its function), called before its first import.
_BEFORE = {
    "numpy": ("frameworks.numpy", "before_import"),
    "torch": ("frameworks.mkl", "before_import"),
}
# The same, called with the module when its code has run.
_TARGETS = {
    "concurrent.futures.process": ("tasks", "number_futures"),
    "cupy": ("frameworks.cupy", "after_import"),
    "ipykernel.ipkernel": ("frameworks.ipykernel", "after_import"),
    "jax": ("frameworks.jax", "after_import"),
    "joblib.externals.loky.process_executor": ("tasks", "number_executor"),
    "joblib.parallel": ("tasks", "number_joblib"),
    "keras.src.callbacks.callback_list": ("trace.keras", "after_import"),
    "lightgbm": ("frameworks.lightgbm", "after_import"),
    "loky.process_executor": ("tasks", "number_executor"),
    "matplotlib": ("frameworks.matplotlib", "after_import"),
    # A copy of multiprocessing that pickles by dill: Hugging Face datasets, pathos.
    "multiprocess.pool": ("tasks", "number_pool"),
    "multiprocess.process": ("processes", "number_processes"),
    "multiprocess.spawn": ("processes", "hand_paths_on"),
    "multiprocess.util": ("processes", "number_services"),
    "multiprocessing.pool": ("tasks", "number_pool"),
    "multiprocessing.process": ("processes", "number_processes"),
    "multiprocessing.spawn": ("processes", "hand_paths_on"),
    "multiprocessing.util": ("processes", "number_services"),
    "numba": ("frameworks.numba", "after_import"),
    "numpy.random": ("frameworks.numpy", "after_import"),
    "polars": ("frameworks.polars", "after_import"),
    "random": ("frameworks.python", "after_import"),
    "sklearn.cluster._bisect_k_means": ("frameworks.sklearn", "after_kmeans"),
    "sklearn.cluster._kmeans": ("frameworks.sklearn", "after_kmeans"),
    "sklearn.ensemble._forest": ("frameworks.sklearn", "after_forest"),
    "subprocess": ("processes", "number_subprocesses"),
    "tensorflow": ("frameworks.tensorflow", "after_import"),
    "torch": ("frameworks.torch", "after_import"),
    "uuid": ("entropy", "after_uuid"),
    "xgboost": ("frameworks.xgboost", "after_import"),
}
REFUSED = 121


class Finder:
    """A meta path finder that wraps the loaders of the known modules."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the other finders give, its loader covered; None for other modules."""
        if name in _BEFORE:
            _prepare(name, _BEFORE[name])
        if name not in _TARGETS:
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find else None
            if spec is not None:
                _cover(spec, name)
                return spec
        return None


class _StandIn:
    """A loader that runs another one and then our part; all else is the other's."""

    def __init__(self, loader: Any, name: str) -> None:
        self._loader = loader
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        return getattr(self._loader, attribute)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return what the other loader makes."""
        create = getattr(self._loader, "create_module", None)
        return create(spec) if create else None

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code, then ours."""
        execute = getattr(self._loader, "exec_module", None)
        if execute:
            execute(module)
        else:
            self._loader.load_module(self._name)  # zipimport before 3.10
        after(self._name, sys.modules.get(self._name, module))


def install() -> None:
    """Join the run and watch imports; what was imported before us is seeded now."""
    try:
        identity.join_run(os.environ)
        _tell_of_hashes()
        entropy.watch()
        sys.meta_path.insert(0, Finder())
        os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
        for name in _TARGETS:
            if name in sys.modules:
                after(name, sys.modules[name])
    except Exception as error:  # noqa: BLE001 - whatever it is, the job comes first
        failed("cannot install its import hook", error)


def after(name: str, module: ModuleType) -> None:
    """Run our part for ``module``; a failure is told, and ends the process under ``strict``."""
    _prepare(name, _TARGETS[name], module)


def failed(what: str, error: Exception) -> None:
    """Tell of a failure of ours. Raises SystemExit(121) under ``strict``."""
    from envlock.runtime import spool

    told = f"{what} ({type(error).__name__}: {error})"
    spool.report("gap", identity.label(), told)
    strict = os.environ.get("ENVLOCK_DETERMINISM") == "strict"
    if not os.environ.get("ENVLOCK_QUIET") or strict:
        sys.stderr.write(f"envlock: {told}\n")
    if strict:
        raise SystemExit(REFUSED)


def _tell_of_hashes() -> None:
    """Tell of an interpreter that ignores its variables: no option gives it a hash seed."""
    if sys.flags.ignore_environment and sys.flags.hash_randomization:
        from envlock.runtime import spool

        reason = "python -E and -I ignore PYTHONHASHSEED: the order of sets of text follows no seed"
        spool.report("gap", identity.label(), reason)


def _cover(spec: ModuleSpec, name: str) -> None:
    loader = spec.loader
    if loader is None:
        return
    execute = getattr(loader, "exec_module", None)
    if execute is None or isinstance(loader, type):
        spec.loader = _StandIn(loader, name)  # type: ignore[assignment]  # a loader by its methods
        return

    def exec_module(module: ModuleType) -> None:
        vars(loader).pop("exec_module", None)
        execute(module)
        after(name, module)

    try:
        loader.exec_module = exec_module  # type: ignore[method-assign]  # covered for one call
    except AttributeError:
        spec.loader = _StandIn(loader, name)  # type: ignore[assignment]  # a loader by its methods


def _prepare(name: str, part: tuple[str, str], *given: ModuleType) -> None:
    place, function = part
    try:
        from importlib import import_module

        getattr(import_module(f"envlock.runtime.{place}"), function)(*given)
    except Exception as error:  # noqa: BLE001 - whatever it is, the job comes first
        failed(f"cannot prepare {name}", error)


def _before_fork() -> None:
    from envlock.runtime import processes

    processes.before_fork()


def _after_fork() -> None:
    from envlock.runtime import processes

    processes.after_fork_in_child()
