"""What a command and all its processes used: wall and processor seconds, and memory.

The caller becomes the reaper of orphans (prctl 36), so that the time of worker processes whose parent
ended before them is counted too. What a daemon does for the command is not in it.
"""

import ctypes
import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_SET_CHILD_SUBREAPER = 36
_SAMPLE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """``wall`` and ``processor`` in seconds; the most memory, in bytes, of one process and of all."""

    wall: float
    processor: float
    largest: int
    together: int


def variables(store: Path) -> dict[str, str]:
    """Return the variables of a case, with the benchmark's own ``store``.

    Bytecode of envlock's own modules may be written, as it is where envlock was installed.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "ENVLOCK_CACHE": str(store)}


def measure(argv: Sequence[str], directory: Path, environ: Mapping[str, str]) -> Usage:
    """Run ``argv``. Raises CalledProcessError when it fails."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    process = subprocess.Popen(
        argv, cwd=directory, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    watch = _Watch(process.pid)
    watch.start()
    output, errors = process.communicate()
    wall = time.perf_counter() - begun
    watch.ended.set()
    watch.join()
    _reap()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv, output, errors)
    return Usage(
        wall=wall,
        processor=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        largest=watch.largest,
        together=watch.together,
    )


def _reap() -> None:
    with suppress(ChildProcessError):
        while True:
            os.wait()


class _Watch(threading.Thread):
    """Samples the memory of this process's descendants: proportional set size, shared pages divided."""

    def __init__(self, first: int) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.largest = self.together = 0
        self._family = {first}

    def run(self) -> None:
        while not self.ended.wait(_SAMPLE):
            sizes = [_memory(pid) for pid in _descendants(os.getpid())]
            self.largest = max(self.largest, *sizes, 0)
            self.together = max(self.together, sum(sizes))


def _descendants(root: int) -> set[int]:
    parents = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                text = (place / "stat").read_text()
            except OSError:
                continue
            parents[int(place.name)] = int(text.rpartition(")")[2].split()[1])
    found: set[int] = set()
    grown = {root}
    while grown:
        grown = {pid for pid, parent in parents.items() if parent in grown}
        found |= grown
    return found


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
