"""Running the job as process 1 must: started, not exec'ed; signals forwarded; orphans reaped.

The job shares the entrypoint's process group and terminal, so a Ctrl-C at a terminal reaches it from
the kernel. Such a signal (``si_code`` SI_KERNEL) is therefore not forwarded a second time; one sent
with kill(2), as ``docker stop`` does, is. Standard input, output and error are the job's alone.
"""

from __future__ import annotations

import errno
import os
import signal

from envlock.runtime.errors import RefusedError
from envlock.runtime.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOT_FOUND = 127
NOT_EXECUTABLE = 126
_SI_KERNEL = 0x80
# Faults are the receiver's own; job control and broken pipes are for the kernel to handle.
_NOT_FORWARDED = [
    "SIGKILL",
    "SIGSTOP",
    "SIGCHLD",
    "SIGSEGV",
    "SIGBUS",
    "SIGFPE",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGSYS",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGCONT",
    "SIGPIPE",
    "SIGXFSZ",
]
# Python ignores these two at start, and a process made by exec would go on ignoring them.
_RESTORED = ("SIGPIPE", "SIGXFSZ")


class JobNotStartedError(RefusedError):
    """The command was not found (127) or can't be executed (126), with the status a shell would give."""

    def __init__(self, status: int, command: str, reason: str, hint: str | None = None) -> None:
        """Keep the status beside the message."""
        super().__init__("cannot start the job", where=command, found=reason, hint=hint)
        self.exit_code = status


class Ended(Value):
    """How the job ended: ``status`` as a shell gives it; ``signal`` that killed it, or None."""

    status: int
    signal: int | None


def run(command: Sequence[str], environ: Mapping[str, str], work: str) -> Ended:
    """Start ``command`` in the directory ``work``, wait for its end and return it.

    Raises JobNotStartedError.
    """
    program = find_program(command[0], environ.get("PATH", os.defpath), work)
    # Inherited as ignored, children would vanish unseen and be waited for without end.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    waited = _forwarded() | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    try:
        child = _start(program, command, environ, before)
        return _wait(child, waited)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def find_program(name: str, path: str, work: str) -> str:
    """Return the file that ``name`` means: itself where it has a slash, else the first in ``path``.

    Relative entries count from ``work``. Raises JobNotStartedError.
    """
    candidates = [name] if "/" in name else [os.path.join(entry, name) for entry in path.split(":")]
    found = [os.path.join(work, one) for one in candidates if os.path.exists(os.path.join(work, one))]
    runnable = [one for one in found if os.path.isfile(one) and os.access(one, os.X_OK)]
    if runnable:
        return runnable[0]
    if found:
        if os.path.isdir(found[0]):
            raise JobNotStartedError(NOT_EXECUTABLE, name, "it is a directory")
        hint = f"chmod +x {name}, or name its interpreter"
        raise JobNotStartedError(NOT_EXECUTABLE, name, "it is not executable", hint)
    where = "no such file" if "/" in name else "no such program on PATH"
    raise JobNotStartedError(NOT_FOUND, name, where)


def _forwarded() -> set[int]:
    kept = {int(getattr(signal, name)) for name in _NOT_FORWARDED}
    return {int(number) for number in signal.valid_signals()} - kept


def _start(program: str, command: Sequence[str], environ: Mapping[str, str], mask: set[int]) -> int:
    restored = [getattr(signal, name) for name in _RESTORED]
    try:
        return os.posix_spawn(program, list(command), dict(environ), setsigmask=mask, setsigdef=restored)
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            raise JobNotStartedError(
                NOT_EXECUTABLE, command[0], "neither a program nor a script", "a script begins with #!"
            ) from error
        if error.errno == errno.ENOENT:
            raise JobNotStartedError(
                NOT_FOUND, command[0], "the interpreter that it names is missing", "see its first line"
            ) from error
        reason = os.strerror(error.errno or 0)
        raise JobNotStartedError(NOT_EXECUTABLE, command[0], reason) from error


def _wait(child: int, waited: set[int]) -> Ended:
    while True:
        ended = _reap(child)
        if ended is not None:
            return ended
        info = signal.sigwaitinfo(waited)
        if info.si_signo != signal.SIGCHLD and info.si_code != _SI_KERNEL:
            # Until it is reaped the child can be signalled, ended or not.
            os.kill(child, info.si_signo)


def _reap(child: int) -> Ended | None:
    """Collect every process that has ended; orphans end as children of process 1."""
    while True:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == child:
            return _ended(status)
        if ended == 0:
            return None


def _ended(status: int) -> Ended:
    if os.WIFSIGNALED(status):
        return Ended(128 + os.WTERMSIG(status), os.WTERMSIG(status))
    return Ended(os.WEXITSTATUS(status), None)
