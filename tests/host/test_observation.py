import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from envlock.host.observation import SETTLED_AFTER, observe
from tests.host.clocks import later

Change = Callable[[Path], None]


def _with_its_times(change: Change) -> Change:
    """Return the change, made by somebody who puts the file's times back afterwards."""

    def changed(path: Path) -> None:
        status = path.stat()
        change(path)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    return changed


def _flip_a_bit(path: Path) -> None:
    with path.open("r+b") as stream:
        first = stream.read(1)[0]
        stream.seek(0)
        stream.write(bytes([first ^ 1]))


def _truncate(path: Path) -> None:
    os.truncate(path, 3)


def _replace(path: Path) -> None:
    other = path.with_suffix(".other")
    other.write_bytes(b"other data")
    shutil.copystat(path, other)
    other.replace(path)


def _turn_into_a_link(path: Path) -> None:
    moved = path.with_suffix(".moved")
    shutil.copy2(path, moved)
    path.unlink()
    path.symlink_to(moved)


CHANGES: dict[str, Change] = {
    "a bit is flipped": _flip_a_bit,
    "the end is cut off": _truncate,
    "another file of the same length and times": _replace,
    "a link to a copy": _turn_into_a_link,
    "removed": Path.unlink,
    "a bit is flipped, times put back": _with_its_times(_flip_a_bit),
    "the end is cut off, times put back": _with_its_times(_truncate),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_through_the_file_system_is_seen(tmp_path: Path, change: Change) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"some bytes")
    before = observe([str(file)])
    # The kernel's clock ticks every few milliseconds; that is what waiting to be settled is for.
    time.sleep(0.05)
    change(file)
    assert observe([str(file)]).digest != before.digest


def test_what_is_left_alone_looks_the_same_and_settles(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"some bytes")
    paths = [str(file), str(tmp_path / "absent"), "no\0name"]
    assert not observe(paths).settled
    assert observe(paths, later).settled
    assert observe(paths, later).digest == observe(paths).digest


def test_a_file_settles_two_seconds_after_its_last_change_whatever_its_mtime_says(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"some bytes")
    os.utime(file, ns=(0, 0))
    changed = file.stat().st_ctime_ns
    assert not observe([str(file)], lambda: changed + SETTLED_AFTER - 1).settled
    assert observe([str(file)], lambda: changed + SETTLED_AFTER).settled


def test_a_file_that_appears_is_a_change(tmp_path: Path) -> None:
    file = tmp_path / "file"
    before = observe([str(file)])
    file.write_bytes(b"")
    assert observe([str(file)]).digest != before.digest


def test_order_and_names_belong_to_what_is_seen(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("a", "b")]
    for name in names:
        os.link(names[0], name) if Path(names[0]).exists() else Path(name).write_bytes(b"")
    seen = {observe(paths).digest for paths in (names, names[::-1], names[:1], names[1:], [])}
    assert len(seen) == 5


def test_more_files_than_one_batch_are_all_seen(tmp_path: Path) -> None:
    absent = [str(tmp_path / str(number)) for number in range(5000)]
    before = observe(absent)
    Path(absent[-1]).write_bytes(b"")
    assert observe(absent).digest != before.digest
