import os
from collections.abc import Callable
from pathlib import Path

import pytest

from envlock.host import names as naming
from envlock.host.names import Names
from envlock.host.reach import Reach
from tests.host.clocks import later
from tests.host.test_observation import CHANGES


@pytest.fixture(params=[0, naming.SHARED], ids=["two processes", "one process"], autouse=True)
def _shared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """From how many directories on a second process helps."""
    monkeypatch.setattr(naming, "SHARED", request.param)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    package = tmp_path / "site/package"
    (package / "inner").mkdir(parents=True)
    (package / "__pycache__").mkdir()
    (tmp_path / "elsewhere/linked").mkdir(parents=True)
    (tmp_path / "elsewhere/plain").mkdir()
    for name in ("site/package/module.py", "site/package/inner/data", "elsewhere/linked/__init__.py", "file"):
        (tmp_path / name).write_bytes(b"some bytes")
    (tmp_path / "site/link").symlink_to(tmp_path / "elsewhere/linked")
    (tmp_path / "site/other").symlink_to(tmp_path / "elsewhere/plain")
    (tmp_path / "site/circle").symlink_to(tmp_path / "site")
    (tmp_path / "site/nothing").symlink_to(tmp_path / "absent")
    (tmp_path / "pointer").symlink_to(tmp_path / "file")
    return tmp_path


def _reach(place: Path) -> Reach:
    files = (f"{place}/file", f"{place}/absent", f"{place}/pointer", f"{place}/site", "\0")
    return Reach(trees=(f"{place}/site",), files=files)


def _digest(reach: Reach) -> str:
    return reach.look().digest


def _names(reach: Reach) -> Names:
    return Names.of(reach.look())


def test_what_stays_looks_the_same(place: Path) -> None:
    assert _digest(_reach(place)) == _digest(_reach(place))
    assert _reach(place).look().observation(later).settled


def test_what_stays_looks_the_same_at_a_glance(place: Path) -> None:
    names = _names(_reach(place))
    seen = names.observe(later)
    assert seen is not None
    assert seen.settled
    assert names.observe(later) == seen
    assert _names(_reach(place)) == names


@pytest.mark.parametrize("name", ["site/package/module.py", "site/package/inner/data", "file"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_of_a_file_is_seen(place: Path, name: str, change: Callable[[Path], None]) -> None:
    before, names = _digest(_reach(place)), _names(_reach(place))
    glance = names.observe(later)
    change(place / name)
    assert _digest(_reach(place)) != before
    assert names.observe(later) != glance


_OTHERS: dict[str, Callable[[Path], object]] = {
    "a new file": lambda place: (place / "site/package/new").write_bytes(b""),
    "a new directory": lambda place: (place / "site/package/new").mkdir(),
    "a file less": lambda place: (place / "site/package/module.py").unlink(),
    "another name": lambda place: (place / "site/package/inner").rename(place / "site/package/outer"),
    "a package behind a link": lambda place: (place / "elsewhere/linked/new.py").write_bytes(b""),
    "a link that leads somewhere now": lambda place: (place / "absent").write_bytes(b""),
    "a link that leads to a package now": lambda place: (place / "elsewhere/plain/__init__.py").touch(),
    "a directory that nobody may read": lambda place: (place / "site/package").chmod(0o000),
}


@pytest.mark.parametrize("change", _OTHERS.values(), ids=_OTHERS)
def test_every_change_of_a_tree_is_seen(place: Path, change: Callable[[Path], object]) -> None:
    before, names = _digest(_reach(place)), _names(_reach(place))
    glance = names.observe(later)
    change(place)
    assert _digest(_reach(place)) != before
    assert names.observe(later) != glance


def test_bytecode_and_what_does_not_count_changes_nothing(place: Path) -> None:
    reach = Reach(trees=(f"{place}/site",), without=(f"{place}/site/package/inner",))
    before = _digest(reach)
    (place / "site/package/__pycache__/module.pyc").write_bytes(b"")
    (place / "site/package/inner/__pycache__").mkdir()
    (place / "site/package/inner/new").write_bytes(b"")
    assert _digest(reach) == before


def test_a_listing_ends_at_its_directories(place: Path) -> None:
    reach = Reach(listings=(f"{place}/site/package", f"{place}/none"))
    before = _digest(reach)
    (place / "site/package/inner/new").write_bytes(b"")
    assert _digest(reach) == before
    (place / "site/package/new").write_bytes(b"")
    changed = _digest(reach)
    (place / "none").mkdir()
    assert len({before, changed, _digest(reach)}) == 3


def test_what_changed_a_moment_ago_is_not_settled(place: Path) -> None:
    trees, files = Reach(trees=(f"{place}/site",)), Reach(files=(f"{place}/gone",))
    now = os.stat(place / "site/package").st_ctime_ns + 1
    for reach in (trees, files):  # One that is not there may have been there a moment ago.
        glance = _names(reach).observe(lambda: now)
        assert glance is not None
        assert not glance.settled
        assert not reach.look().observation(lambda: now).settled
    assert Reach(files=("/absent/absent",)).look().observation(lambda: now).settled


def test_more_than_can_be_looked_at_is_never_settled(place: Path) -> None:
    assert not _reach(place).look(largest=5).observation(later).settled


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A directory of several."""
    for name in "abcdef":
        (tmp_path / "wide" / name / "inner").mkdir(parents=True)
        (tmp_path / "wide" / name / "inner/file").write_bytes(b"")
    return tmp_path / "wide"


@pytest.mark.parametrize("name", "abcdef")
def test_every_half_is_seen(wide: Path, name: str) -> None:
    names = _names(Reach(trees=(str(wide),)))
    before = names.observe(later)
    changed = wide / name / "inner/file"
    changed.write_bytes(b"more")
    after = names.observe(lambda: changed.stat().st_ctime_ns + 1)
    assert after is not None
    assert after != before
    assert not after.settled
    changed.unlink()
    assert names.observe(later) is None


def test_one_process_sees_what_two_see(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = _names(Reach(trees=(str(wide),)))
    both = names.observe(later)
    monkeypatch.setattr(naming, "_LOOKING", ("false",))
    assert names.observe(later) == both
    monkeypatch.setattr(naming, "_LOOKING", (str(wide / "none"),))
    assert names.observe(later) == both
