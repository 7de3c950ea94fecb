"""Telling the processes of a job apart: fork, multiprocessing, subprocess.

Every child appends the ordinal in which its parent made it (``identity.py``). It learns that

- by fork: from the handlers here; the frameworks are re-seeded in the child by one that is
  registered after ``random`` is imported, because the standard library registers a re-seeding of its
  own at that moment and handlers run in order (:func:`watch_forks`);
- by multiprocessing's spawn and forkserver: from the process object and from the preparation data,
  which arrives before the child imports the main module;
- by subprocess: from ENVLOCK_PROC in the child's environment.

multiprocessing's helpers (resource tracker, fork server) are numbered apart, ``s<k>``, so that a
worker's ordinal does not depend on how workers are started. So are workers that a pool makes when it
needs one, ``w<k>``: for one that has ended (``maxtasksperchild``), or because none is idle. How many
they are is a question of time, on which the ordinals of later children must not depend.
"""

from __future__ import annotations

import os
from _thread import allocate_lock, get_ident

from envlock.runtime import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ATTRIBUTE = "_envlock_path"
_PREPARATION = "envlock_path"
_BOOTSTRAP = "_bootstrap"
# Popen(args, bufsize, executable, stdin, stdout, stderr, preexec_fn, close_fds, shell, cwd, env, …)
_ENV_POSITION = 10

# Paths that a thread has given to a child that it is making: {thread: (path, will it exec?)}.
_given: dict[int, tuple[tuple[str, ...], bool]] = {}
_forking: dict[int, tuple[tuple[str, ...], bool]] = {}
# Threads in which a pool is looking whether it needs workers.
_supplying: set[int] = set()
_environment_lock = allocate_lock()
_watches: list[int] = []


def before_fork() -> None:
    """Number the child that is about to be forked."""
    thread = get_ident()
    given = _given.get(thread)
    _forking[thread] = given or (identity.next_child(), False)


def after_fork_in_child() -> None:
    """Become the child. Thread identifiers survive a fork for the thread that forked."""
    path, will_exec = _forking.pop(get_ident())
    _given.clear()
    _forking.clear()
    _supplying.clear()
    if not will_exec:
        identity.adopt_forked(path, os.environ)


def watch_forks() -> None:
    """Re-seed in every forked child from now on.

    Called at the first framework, and again whenever ``random`` has registered a handler of its own
    (a reload does): handlers can't be taken back, so only the one registered last acts.
    """
    generation = len(_watches)
    _watches.append(generation)

    def reseed_after_fork() -> None:
        if generation == _watches[-1]:
            from envlock.runtime import frameworks

            frameworks.reseed(forked=True)

    os.register_at_fork(after_in_child=reseed_after_fork)


def watching() -> bool:
    """Whether forked children are re-seeded yet."""
    return bool(_watches)


def number_processes(module: Any) -> None:
    """Have ``multiprocessing.process`` hand each worker its path."""
    base: Any = module.BaseProcess
    start, bootstrap = base.start, getattr(base, _BOOTSTRAP)

    def numbered_start(self: Any, *args: Any, **kwargs: Any) -> Any:
        path = identity.next_worker() if get_ident() in _supplying else identity.next_child()
        setattr(self, _ATTRIBUTE, path)
        with _Given(path, will_exec=False):
            return start(self, *args, **kwargs)

    def identified_bootstrap(self: Any, *args: Any, **kwargs: Any) -> Any:
        become(getattr(self, _ATTRIBUTE, None))
        return bootstrap(self, *args, **kwargs)

    replace(base, "start", start, numbered_start)
    replace(base, _BOOTSTRAP, bootstrap, identified_bootstrap)


def hand_paths_on(module: Any) -> None:
    """Have ``multiprocessing.spawn`` tell a worker its path before it imports the main module."""
    get_data, prepare = module.get_preparation_data, module.prepare

    def data_with_path(*args: Any, **kwargs: Any) -> Any:
        data = get_data(*args, **kwargs)
        given = _given.get(get_ident())
        if given:
            data[_PREPARATION] = given[0]
        return data

    def identified_prepare(data: Any) -> Any:
        become(data.get(_PREPARATION))
        return prepare(data)

    replace(module, "get_preparation_data", get_data, data_with_path)
    replace(module, "prepare", prepare, identified_prepare)


def number_workers_apart(owner: Any, name: str) -> None:
    """Have the processes that ``owner.name`` starts, a pool's supply of workers, not count as children."""
    supply = getattr(owner, name)

    def numbered_supply(*args: Any, **kwargs: Any) -> Any:
        thread = get_ident()
        _supplying.add(thread)
        try:
            return supply(*args, **kwargs)
        finally:
            _supplying.discard(thread)

    static = isinstance(vars(owner)[name], staticmethod)
    replace(owner, name, supply, numbered_supply)
    if static:
        setattr(owner, name, staticmethod(numbered_supply))


def number_services(module: Any) -> None:
    """Have ``multiprocessing.util`` number the interpreters that it starts."""
    spawn = module.spawnv_passfds

    def numbered_spawn(*args: Any, **kwargs: Any) -> Any:
        # It hands the process's own environment on, so that is where the path must stand meanwhile.
        with _environment_lock:
            own = os.environ.get(identity.VARIABLE, "")
            os.environ[identity.VARIABLE] = identity.variable_for(identity.next_service())
            try:
                return spawn(*args, **kwargs)
            finally:
                os.environ[identity.VARIABLE] = own

    replace(module, "spawnv_passfds", spawn, numbered_spawn)


def number_subprocesses(module: Any) -> None:
    """Have ``subprocess.Popen`` tell each child its path."""
    initialise = module.Popen.__init__

    def numbered_initialise(self: Any, *args: Any, **kwargs: Any) -> None:
        path = identity.next_child()
        if len(args) > _ENV_POSITION:
            env = _with_path(args[_ENV_POSITION], path)
            args = (*args[:_ENV_POSITION], env, *args[_ENV_POSITION + 1 :])
        else:
            kwargs["env"] = _with_path(kwargs.get("env"), path)
        with _Given(path, will_exec=True):
            initialise(self, *args, **kwargs)

    replace(module.Popen, "__init__", initialise, numbered_initialise)


def become(path: tuple[str, ...] | None) -> None:
    """Take the path that the parent gave, and seed again what was seeded under another one."""
    if path is not None and identity.adopt(path, os.environ):
        from envlock.runtime import frameworks

        frameworks.reseed(forked=False)


class _Given:
    """While a thread makes a child, the path that the child has been given."""

    def __init__(self, path: tuple[str, ...], *, will_exec: bool) -> None:
        self._value = (path, will_exec)

    def __enter__(self) -> None:
        _given[get_ident()] = self._value

    def __exit__(self, *_: object) -> None:
        _given.pop(get_ident(), None)


def _with_path(env: Any, path: tuple[str, ...]) -> Any:
    if env is None:
        env = os.environ
    bytes_names = b"ENVLOCK_RUN" in env if not hasattr(env, "encodekey") else False
    if "ENVLOCK_RUN" not in env and not bytes_names:
        # The user gave the child an environment of its own: it is not part of the run.
        return env
    copy = dict(env)
    copy.pop(identity.VARIABLE.encode(), None)
    copy[identity.VARIABLE] = identity.variable_for(path)
    return copy


def replace(owner: Any, name: str, original: Any, replacement: Any) -> None:
    """Put ``replacement`` in the place of ``owner.name``, looking like it."""
    for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(replacement, attribute, getattr(original, attribute, None))
    replacement.__wrapped__ = original
    setattr(owner, name, replacement)
