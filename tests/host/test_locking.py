import multiprocessing
import time
from pathlib import Path

import pytest

from envlock.host.locking import exclusive


def append_slowly(directory: Path, name: str) -> None:
    with exclusive(directory / "below" / "lock"), (directory / "log").open("a") as log:
        log.write(f"{name} in\n")
        log.flush()
        time.sleep(0.1)
        log.write(f"{name} out\n")


def test_two_processes_never_hold_the_lock_together(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=append_slowly, args=(tmp_path, name)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    lines = (tmp_path / "log").read_text().split()
    assert [lines[0], lines[4]] == [lines[2], lines[6]]
    assert lines[1::2] == ["in", "out", "in", "out"]


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), exclusive(tmp_path / "lock"):
        raise ValueError("inside")
    with exclusive(tmp_path / "lock"):
        assert (tmp_path / "lock").is_file()
