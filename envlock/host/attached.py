"""Running a job on this process's own terminal, through a launcher that starts it as its only child.

``unshare --fork`` is such a launcher: it waits, ignores SIGINT and SIGTERM and hands nothing on
(unshare(1), ``--fork``), so signals go from here straight to its child. Job and launcher stay in
envlock's process group: the job may read the terminal, and Ctrl-C reaches it from the kernel.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from envlock.host.signals import forwarded
from envlock.runtime.errors import UnreachableError

_FROM_THE_TERMINAL = frozenset((signal.SIGINT, signal.SIGQUIT, signal.SIGHUP))
_PATIENCE = 10.0


def attached(argv: Sequence[str], *, env: Mapping[str, str]) -> int:
    """Run ``argv`` on this process's streams and return the job's exit status (128 + n for signal n).

    Signals that would end envlock go to the launcher's child instead. If the launcher itself is
    killed, its child is killed too. Raises UnreachableError when the launcher can't be started.
    """
    waiting: list[int] = []
    child: int | None = None

    def send(number: int) -> None:
        if number in _FROM_THE_TERMINAL and _in_the_foreground():
            return
        if child is None:
            waiting.append(number)
        else:
            _signal(child, number)

    with forwarded(send):
        try:
            launcher = subprocess.Popen(list(argv), env=dict(env))
        except OSError as error:
            raise UnreachableError("cannot start", where=argv[0], found=error.strerror) from error
        with launcher:
            child = _only_child(launcher)
            for number in waiting:
                send(number)
            status = launcher.wait()
    if status >= 0:
        return status
    if child is not None:
        _end(child)
    return 128 - status


def _only_child(launcher: "subprocess.Popen[bytes]") -> int | None:
    """Return the process ID of the launcher's child, or None when the launcher ended without one."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
    while launcher.poll() is None:
        try:
            found = children.read_text().split()
        except OSError:
            return None
        if found:
            return int(found[0])
        time.sleep(0.001)
    return None


def _in_the_foreground() -> bool:
    """Say whether the terminal sends Ctrl-C to this process's group, job included, by itself."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _end(process: int) -> None:
    """Kill a process that is no child of ours, and wait until it is gone."""
    _signal(process, signal.SIGKILL)
    until = time.monotonic() + _PATIENCE
    while _alive(process) and time.monotonic() < until:
        time.sleep(0.01)


def _alive(process: int) -> bool:
    """Say whether the process still runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def _signal(process: int, number: int) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return
