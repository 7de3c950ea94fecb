import hashlib
import os
import shutil
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.capture import record
from envlock.core.digest import Digest
from envlock.core.progress import Advance, Silent
from envlock.host.store import Store
from envlock.lock.environment import InstalledDistribution, RecordEntry
from tests.host.clocks import later
from tests.host.opened import watching_opened

_FILES = ("pkg/__init__.py", "pkg/native.so", "pkg/data/table.bin")


def _hash(data: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _installed(site: Path, name: str = "pkg") -> InstalledDistribution:
    """Install some files; the record also lists bytecode, which has no hash."""
    entries = [RecordEntry(path=f"{name}/__pycache__/a.pyc", sha256=None, size=None)]
    for number, path in enumerate(_FILES):
        file = site / path.replace("pkg", name, 1)
        data = f"{name} {path} ".encode() * (number * 1000 + 1)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        entries.append(RecordEntry(path=path.replace("pkg", name, 1), sha256=_hash(data), size=len(data)))
    return InstalledDistribution(
        name=name,
        raw_name=name,
        version="1",
        site=site,
        dist_info=f"{name}-1.dist-info",
        tags=(),
        build=None,
        root_is_purelib=True,
        record=tuple(entries),
        requires_python=None,
        requires=(),
        installer=None,
        direct_url=None,
    )


def _modified(
    installed: tuple[InstalledDistribution, ...], store: Store | None = None
) -> list[tuple[str, ...]]:
    return [one.modified for one in record.verify(installed, Silent(), store)]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site-packages"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", clock=later)


def _rewrite(path: Path) -> None:
    path.write_bytes(b"#" * path.stat().st_size)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    with path.open("r+b") as stream:
        stream.write(data)


def _truncate(path: Path) -> None:
    os.truncate(path, 1)


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"#" * path.stat().st_size)
    shutil.copystat(path, other)
    other.replace(path)


_CHANGES: dict[str, Callable[[Path], None]] = {
    "rewritten in place": _rewrite,
    "one bit flipped": _flip,
    "truncated": _truncate,
    "replaced by another file": _replace,
    "removed": Path.unlink,
}


@pytest.mark.parametrize("remembered", [True, False], ids=["remembered", "never seen"])
@pytest.mark.parametrize("path", _FILES)
@pytest.mark.parametrize("change", _CHANGES.values(), ids=_CHANGES)
def test_change_is_found_though_its_times_are_put_back(
    site: Path, store: Store, path: str, change: Callable[[Path], None], *, remembered: bool
) -> None:
    installed = (_installed(site), _installed(site, "other"))
    if remembered:
        assert _modified(installed, store) == [(), ()]
    before = (site / path).stat()
    time.sleep(0.02)
    change(site / path)
    if (site / path).exists():
        os.utime(site / path, ns=(before.st_atime_ns, before.st_mtime_ns))
    for _ in range(2):
        assert _modified(installed, store) == [(path,), ()]


def test_what_was_verified_and_left_alone_is_not_read_again(site: Path, store: Store) -> None:
    installed = (_installed(site), _installed(site, "other"))
    (site / _FILES[0]).write_bytes(b"edited")
    assert _modified(installed, store) == [(_FILES[0],), ()]
    opened: list[str] = []
    with watching_opened(opened):
        assert _modified(installed, store) == [(_FILES[0],), ()]
    assert [path for path in opened if path.startswith(str(site))] == []


def test_only_the_distribution_that_changed_is_read_again(site: Path, store: Store) -> None:
    installed = (_installed(site), _installed(site, "other"))
    _modified(installed, store)
    _rewrite(site / _FILES[0])
    opened: list[str] = []
    with watching_opened(opened):
        _modified(installed, store)
    read = {path for path in opened if path.startswith(str(site))}
    assert read == {str(site / path) for path in _FILES}


@pytest.mark.parametrize("case", ["no store", "a moment after they were written", "asked to"])
def test_all_files_are_read_where_nothing_may_be_believed(site: Path, tmp_path: Path, case: str) -> None:
    place = tmp_path / "store"
    stores = {
        "no store": None,
        "a moment after they were written": Store(place),
        "asked to": Store(place, clock=later, anew=True),
    }
    installed, store = (_installed(site),), stores[case]
    _modified(installed, store)
    opened: list[str] = []
    with watching_opened(opened):
        assert _modified(installed, store) == [()]
    assert {path for path in opened if path.startswith(str(site))} == {str(site / path) for path in _FILES}


def test_what_was_hashed_on_demand_is_remembered(site: Path, store: Store) -> None:
    installed = (_installed(site),)
    _modified(installed, replace(store, anew=True))
    opened: list[str] = []
    with watching_opened(opened):
        _modified(installed, store)
    assert [path for path in opened if path.startswith(str(site))] == []


def test_another_record_of_the_same_files_is_another_question(site: Path, store: Store) -> None:
    installed = _installed(site)
    _modified((installed,), store)
    wrong = installed.record[1]._replace(sha256=_hash(b"what somebody else installed"))
    altered = replace(installed, record=(installed.record[0], wrong, *installed.record[2:]))
    assert _modified((altered,), store) == [(_FILES[0],)]


def test_one_small_memory_for_a_site_whatever_its_number_of_files(site: Path, store: Store) -> None:
    _modified(tuple(_installed(site, f"pkg{number}") for number in range(20)), store)
    (fact,) = (store.root / "facts" / "installed-files").iterdir()
    assert fact.stat().st_size < 20 * 300


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", b'{"pkg-1.dist-info": []}'])
def test_damaged_memory_is_ignored_and_made_anew(site: Path, store: Store, damage: bytes) -> None:
    installed = (_installed(site),)
    _modified(installed, store)
    (fact,) = (store.root / "facts" / "installed-files").iterdir()
    good = fact.read_bytes()
    fact.write_bytes(damage)
    assert _modified(installed, store) == [()]
    assert fact.read_bytes() == good


def test_forged_memory_is_not_believed(site: Path, store: Store) -> None:
    """Who edits the list of modified files in the memory does not hold its seal."""
    installed = (_installed(site),)
    _rewrite(site / _FILES[1])
    assert _modified(installed, store) == [(_FILES[1],)]
    (fact,) = (store.root / "facts" / "installed-files").iterdir()
    fact.write_text(fact.read_text().replace(f'["{_FILES[1]}"]', "[]"))
    assert _modified(installed, store) == [(_FILES[1],)]


def test_names_that_no_file_can_have_are_modified(site: Path, store: Store) -> None:
    installed = _installed(site)
    broken = tuple(
        RecordEntry(path=path, sha256=_hash(b""), size=0) for path in ("nul\0name", "../" * 3000 + "x")
    )
    found = _modified((replace(installed, record=(*installed.record, *broken)),), store)
    assert found == [tuple(sorted(one.path for one in broken))]


def test_interrupted_work_raises_and_hashes_no_further(site: Path) -> None:
    installed = tuple(_installed(site, f"pkg{number}") for number in range(20))
    with pytest.raises(KeyboardInterrupt):
        record.verify(installed, _Interrupted())


class _Interrupted(Silent):
    """The user presses Ctrl-C at the first sign of progress."""

    @contextmanager
    def task(self, label: str, total: int | None, unit: str = "") -> Iterator[Advance]:
        def interrupted(_count: int) -> None:
            raise KeyboardInterrupt

        yield interrupted


@pytest.mark.parametrize("remembering", [True, False])
def test_the_digest_of_modified_files_is_that_of_their_bytes(
    site: Path, store: Store, *, remembering: bool
) -> None:
    installed = _installed(site)

    def digest() -> object:
        (one,) = record.verify((installed,), Silent(), store if remembering else None)
        return one.modified_digest

    assert digest() is None
    (file,) = [site / entry.path for entry in installed.record if entry.sha256][:1]
    seen = []
    for text in ("first", "other"):
        file.write_text(text)
        seen.append(digest())
        # Remembered or not, the same bytes have the same digest.
        assert digest() == seen[-1]
    assert None not in seen
    assert seen[0] != seen[1]


def _content(installed: InstalledDistribution, *entries: RecordEntry) -> Digest | None:
    whole = replace(installed, record=(*installed.record, *entries))
    (found,) = record.verify((whole,), Silent())
    return found.content_digest


def test_the_digest_of_the_content_is_that_of_the_files_however_they_came_there(site: Path) -> None:
    installed = _installed(site)
    known = _content(installed)
    written_by_installers = (
        RecordEntry(path="../../bin/tool", sha256=_hash(b"tool"), size=4),
        RecordEntry(path="pkg-1.dist-info/INSTALLER", sha256=_hash(b"pip"), size=3),
        RecordEntry(path="pkg/__pycache__/b.pyc", sha256=_hash(b"code"), size=4),
    )
    assert _content(installed, *written_by_installers) == known
    # An edit, and then the installation of a wheel that was made of the edited files.
    (site / _FILES[0]).write_bytes(b"edited")
    edited = _content(installed)
    assert edited not in (None, known)
    entries = tuple(
        one._replace(sha256=_hash(b"edited")) if one.path == _FILES[0] else one for one in installed.record
    )
    (found,) = record.verify((replace(installed, record=entries),), Silent())
    assert (found.modified, found.content_digest) == ((), edited)


def test_without_a_record_no_content_is_known(site: Path) -> None:
    (found,) = record.verify((replace(_installed(site), record=()),), Silent())
    assert found.content_digest is None
