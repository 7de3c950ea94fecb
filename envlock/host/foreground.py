"""Running a program as the user would have started it: on this process's own streams and terminal.

It stays in envlock's process group, so it may read the terminal, and Ctrl-C reaches it from the kernel.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from envlock.host.signals import forwarded
from envlock.runtime.errors import UsageError

_FROM_THE_TERMINAL = frozenset((signal.SIGINT, signal.SIGQUIT, signal.SIGHUP))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the program ended. ``status`` is 128 + n for signal n."""

    status: int
    interrupted_by: int | None = None
    """The first signal that would have ended envlock meanwhile, where there was one."""


def foreground(argv: Sequence[str], *, env: Mapping[str, str]) -> Ended:
    """Run ``argv`` to its end. Signals that would end envlock go to the program instead.

    Raises UsageError when the program can't be started.
    """
    received: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def send(number: int) -> None:
        received.append(number)
        if child is not None and not (number in _FROM_THE_TERMINAL and _in_the_foreground()):
            child.send_signal(number)

    with forwarded(send):
        try:
            child = subprocess.Popen(list(argv), env=dict(env))
        except OSError as error:
            raise UsageError(
                "cannot start the job", where=argv[0], found=error.strerror, hint="name a program on PATH"
            ) from error
        status = child.wait()
    return Ended(status=status if status >= 0 else 128 - status, interrupted_by=next(iter(received), None))


def _in_the_foreground() -> bool:
    """Say whether the terminal sends Ctrl-C to this process's group, the program included, by itself."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
