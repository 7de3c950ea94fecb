import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from envlock.image import workers
from envlock.runtime.errors import InputError, UnreachableError

BIG = 1 << 30


def double(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def refuse(number: int) -> int:
    raise InputError("cannot", where=str(number), hint="never")


def vanish(_: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def interrupt(path: str) -> int:
    try:
        Path(path).write_text("begun")
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    finally:
        Path(path).unlink()
    return 0


def stay(path: str) -> int:
    Path(path).write_text(str(os.getpid()))
    signal.pause()
    return 0


def test_a_little_work_is_done_in_this_process() -> None:
    found = dict(workers.run(double, [1, 2, 3], [1, 1, 1]))
    assert found == {number: (2 * number, os.getpid()) for number in (1, 2, 3)}


def test_no_work_is_done_at_once() -> None:
    assert list(workers.run(double, [], [])) == []


needs_cpus = pytest.mark.skipif(workers._usable_cpus() < 2, reason="one CPU: no processes are started")


@needs_cpus
def test_much_work_is_spread_over_processes() -> None:
    found = dict(workers.run(double, [1, 2, 3], [BIG, BIG, BIG]))
    assert {number: value for number, (value, _) in found.items()} == {1: 2, 2: 4, 3: 6}
    assert os.getpid() not in {process for _, process in found.values()}


@needs_cpus
def test_an_error_of_a_worker_arrives_whole() -> None:
    with pytest.raises(InputError) as caught:
        list(workers.run(refuse, [7, 7], [BIG, BIG]))
    assert (str(caught.value), caught.value.hint) == ("cannot: 7", "never")


@needs_cpus
def test_a_killed_worker_is_told() -> None:
    with pytest.raises(UnreachableError, match="ended unexpectedly"):
        list(workers.run(vanish, [1, 2], [BIG, BIG]))


@needs_cpus
def test_an_interrupted_task_cleans_up(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        list(workers.run(interrupt, [str(tmp_path / "a"), str(tmp_path / "b")], [BIG, BIG]))
    assert list(tmp_path.iterdir()) == []


@needs_cpus
@pytest.mark.usefixtures("namespaces")
def test_without_shared_memory_all_is_done_in_this_process() -> None:
    """A sandbox may forbid it: processes could not wait for one another."""
    code = (
        "import os; from envlock.image import workers; from tests.image.test_workers import BIG, double; "
        "print({process for _, (_, process) in workers.run(double, [1, 2], [BIG, BIG])} == {os.getpid()})"
    )
    without = 'mount -t tmpfs -o ro none /dev/shm && exec "$@"'
    argv = ["unshare", "--mount", *(["--user", "--map-root-user"] if os.geteuid() else [])]
    done = subprocess.run(
        [*argv, "sh", "-c", without, "sh", sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "True\n", done.stderr


def until(ready: Callable[[], bool]) -> bool:
    """Wait for it a minute at most."""
    for _ in range(600):
        if ready():
            return True
        time.sleep(0.1)
    return False


@needs_cpus
def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    code = (
        "import sys; from envlock.image import workers; from tests.image.test_workers import BIG, stay; "
        "list(workers.run(stay, sys.argv[1:], [BIG, BIG]))"
    )
    argv = [sys.executable, "-c", code, *map(str, paths)]
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2]) as parent:
        assert until(lambda: all(path.exists() and path.read_text() for path in paths))
        parent.kill()
    processes = [Path("/proc", path.read_text()) for path in paths]
    assert until(lambda: not any(process.exists() for process in processes))
