import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from envlock.host import trees
from envlock.host.store import Store
from envlock.runtime.errors import UnreachableError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return trees.place(Store(tmp_path), "rootfs", "a" * 64)


def kept(place: Path) -> tuple[Path, bool]:
    """Return the tree, and whether it was made just now."""
    made = []

    def make(part: Path) -> None:
        (part / "lib").mkdir()
        (part / "lib/a.py").write_bytes(b"x = 1\n")
        (part / "link").symlink_to("/nowhere")
        made.append(part)

    return trees.kept(place, Store(place.parents[1]), make), bool(made)


def test_a_tree_is_made_once(place: Path) -> None:
    assert kept(place) == (place, True)
    assert kept(place) == (place, False)
    assert (place / "lib/a.py").read_bytes() == b"x = 1\n"


def _rewrite(place: Path) -> None:
    """The same size, and the times set back as far as a program can."""
    file = place / "lib/a.py"
    before = file.stat()
    file.write_bytes(b"x = 2\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _link(place: Path) -> Path:
    made = place.parent / "other"
    made.symlink_to("/elsewhere")
    return made


CHANGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda place: os.truncate(place / "lib/a.py", 0),
    "rewritten": _rewrite,
    "removed": lambda place: (place / "lib/a.py").unlink(),
    "added": lambda place: (place / "lib/b.py").write_bytes(b""),
    "mode": lambda place: (place / "lib/a.py").chmod(0o600),
    "other link": lambda place: os.replace(_link(place), place / "link"),
    "no seal": lambda place: place.with_suffix(".seal").unlink(),
    "damaged seal": lambda place: place.with_suffix(".seal").write_bytes(b""),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_tree_that_was_altered_is_made_anew(place: Path, name: str) -> None:
    kept(place)
    CHANGES[name](place)
    assert kept(place) == (place, True)
    assert sorted(path.name for path in (place / "lib").iterdir()) == ["a.py"]
    assert (place / "lib/a.py").read_bytes() == b"x = 1\n"
    assert kept(place) == (place, False)


def test_a_tree_whose_making_fails_is_not_there(place: Path) -> None:
    def fail(part: Path) -> None:
        (part / "half").write_bytes(b"")
        raise UnreachableError("no space left on the disk")

    with pytest.raises(UnreachableError):
        trees.kept(place, Store(place.parents[1]), fail)
    assert not place.exists()
    assert kept(place) == (place, True)


def test_a_tree_with_a_lease_is_neither_discarded_nor_replaced(place: Path) -> None:
    kept(place)
    store = Store(place.parents[1])
    lease = trees.lease(place)
    assert lease is not None
    assert not trees.discard(place, store)
    (place / "lib/a.py").unlink()
    with pytest.raises(UnreachableError, match="a job is running in it"):
        kept(place)
    lease.end()
    lease.end()
    assert kept(place) == (place, True)
    assert trees.discard(place, store)
    assert not place.exists()


def test_the_second_of_two_waits_for_the_first_ones_tree(place: Path) -> None:
    begun, go = threading.Event(), threading.Event()
    made = []

    def slowly(part: Path) -> None:
        made.append(part)
        begun.set()
        assert go.wait(30)

    store = Store(place.parents[1])
    threads = [threading.Thread(target=trees.kept, args=(place, store, slowly)) for _ in range(2)]
    threads[0].start()
    assert begun.wait(30)
    threads[1].start()
    go.set()
    for thread in threads:
        thread.join(30)
    assert len(made) == 1


def test_a_store_that_cannot_be_written_gives_no_lease_and_its_tree(place: Path) -> None:
    kept(place)
    place.with_suffix(".lock").unlink()
    place.parent.chmod(0o555)
    try:
        # Root writes wherever it likes: then there is a lease.
        assert (trees.lease(place) is None) == (not os.access(place.parent, os.W_OK))
        assert kept(place) == (place, False)
    finally:
        place.parent.chmod(0o755)
