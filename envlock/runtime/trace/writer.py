"""The trace of this process: lines into a gzip file of its own, whole at each step.

A forked child begins a file of its own. What can't be written ends the trace with a gap in the record, and
never the job.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import sys
import zlib
from _thread import RLock

from envlock.runtime import identity, spool
from envlock.runtime.trace import event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VARIABLE = "ENVLOCK_TRACE"
DIRECTORY = "ENVLOCK_TRACE_TO"
_GZIP = 31
_FAST = 1
_HELD = 1 << 16
# Some 2 GB for an operation's line; a run that goes on is told where its trace ends.
_MOST = 100_000_000
_DIGITS = 16


class _Trace:
    """The file of one process, opened when there is something to write."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = RLock()
        self.step = 1
        self.count = 0
        self.lines: list[str] = []
        self.held = 0
        self.ended = False
        self.descriptor: int | None = None
        self.gzip: Any = None


_trace = _Trace()


def level() -> str:
    """Return the run's trace level: steps, modules or ops."""
    return os.environ.get(VARIABLE, "steps")


def write(kind: str, where: str, name: str, shape: str, digest: str) -> None:
    """Add one tensor, see :class:`event.Event`."""
    trace = _own()
    with trace.lock:
        if trace.ended:
            return
        if not trace.count:
            _close_with_multiprocessing()
        line = event.line(trace.step, kind, where, name, shape, digest)
        trace.lines.append(line)
        trace.held += len(line)
        trace.count += 1
        if trace.held > _HELD:
            _flush(trace, zlib.Z_NO_FLUSH)
        if trace.count >= _MOST:
            end(f"{_MOST} tensors are enough")


def step() -> None:
    """Begin the next step."""
    trace = _own()
    with trace.lock:
        _flush(trace, zlib.Z_SYNC_FLUSH)
        trace.step += 1


def end(reason: str) -> None:
    """Write no more, and say why in the record."""
    trace = _own()
    with trace.lock:
        if not trace.ended:
            _flush(trace, zlib.Z_FINISH)
            _ended(trace, reason)


def digest_of(data: Any) -> str:
    """Return the digest of an object with a buffer."""
    return hashlib.sha256(data).hexdigest()[:_DIGITS]


def _own() -> _Trace:
    """Return this process's trace: a forked child's parent goes on with its own."""
    global _trace  # noqa: PLW0603 - one a process
    if _trace.process != os.getpid():
        if _trace.descriptor is not None:
            os.close(_trace.descriptor)
        _trace = _Trace()
    return _trace


def _flush(trace: _Trace, mode: int) -> None:
    if trace.ended or not (trace.lines or trace.gzip):
        return
    try:
        if trace.descriptor is None:
            trace.descriptor = _open()
            trace.lines.insert(0, event.header(level(), identity.label()))
        if trace.gzip is None:
            trace.gzip = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP)
        text = "".join(trace.lines).encode("utf-8", "replace")
        _write(trace.descriptor, trace.gzip.compress(text) + trace.gzip.flush(mode))
    except OSError as error:
        _ended(trace, str(error.strerror))
    trace.lines.clear()
    trace.held = 0
    if mode == zlib.Z_FINISH:
        trace.gzip = None


def _ended(trace: _Trace, reason: str) -> None:
    trace.ended = True
    spool.report("gap", f"{identity.label()} trace", f"ends in step {trace.step}: {reason}")


def _open() -> int:
    path = os.path.join(os.environ[DIRECTORY], event.file_name(identity.label()))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    return os.open(path, flags, 0o666)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _close_with_multiprocessing() -> None:
    """Have the file ended in a child of multiprocessing, which leaves without :mod:`atexit`."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _close, exitpriority=0)


@atexit.register
def _close() -> None:
    trace = _own()
    with trace.lock:
        _flush(trace, zlib.Z_FINISH)
