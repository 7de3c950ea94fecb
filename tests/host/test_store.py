import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.core.digest import Digest
from envlock.host.store import Store, default_root
from envlock.runtime.errors import IntegrityError
from tests.host.clocks import later
from tests.host.opened import watching_opened


def _names(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_a_blob_is_found_by_its_digest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing() as writer:
        writer.write(b"one ")
        writer.write(b"blob")
    assert writer.digest == Digest.of(b"one blob")
    assert writer.size == 8
    found = store.find(writer.digest)
    assert found is not None
    assert found.read_bytes() == b"one blob"


def test_a_blob_that_its_writer_vouches_for_is_not_hashed_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest = _with_blob(store)
    store.vouch(digest)
    opened: list[str] = []
    with watching_opened(opened):
        assert store.find(digest) == store.path(digest)
    assert str(store.path(digest)) not in opened


@pytest.mark.parametrize("damaged", [b"one", b"two blob", b""])
def test_damage_to_a_blob_after_its_writer_vouched_for_it_is_found(tmp_path: Path, damaged: bytes) -> None:
    store = Store(tmp_path)
    digest = _with_blob(store)
    store.vouch(digest)
    time.sleep(0.05)
    store.path(digest).write_bytes(damaged)
    assert store.find(digest) is None


@pytest.mark.parametrize("damaged", [b"one", b"two blob", b""])
def test_a_truncated_or_altered_blob_counts_as_absent_and_is_removed(tmp_path: Path, damaged: bytes) -> None:
    store = Store(tmp_path)
    with store.writing() as writer:
        writer.write(b"one blob")
    store.path(writer.digest).write_bytes(damaged)
    assert store.find(writer.digest) is None
    assert _names(tmp_path) == []


def test_bytes_that_are_not_the_expected_ones_never_enter(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "source").write_bytes(b"wrong")
    with pytest.raises(IntegrityError) as caught:
        store.add_file(tmp_path / "source", expected=Digest.of(b"right"))
    assert str(Digest.of(b"right")) in str(caught.value)
    assert _names(tmp_path) == ["source"]


def test_an_interrupted_blob_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def attempt() -> None:
        with store.writing() as writer:
            writer.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt()
    assert _names(tmp_path) == []


def test_a_file_is_added_with_its_digest(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (tmp_path / "source").write_bytes(b"right")
    assert store.add_file(tmp_path / "source") == Digest.of(b"right")


def test_a_fact_is_remembered_by_its_whole_key(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.remember("kind", "a/b c", {"size": 3})
    assert store.fact("kind", "a/b c") == {"size": 3}
    assert store.fact("kind", "a/b") is None
    assert store.fact("other", "a/b c") is None


@pytest.mark.parametrize("change", [(b"true", b"false"), (b"size", b"else")])
def test_a_fact_that_was_altered_counts_as_absent(tmp_path: Path, change: tuple[bytes, bytes]) -> None:
    store = Store(tmp_path)
    store.remember("kind", "key", {"size": True})
    (fact,) = (tmp_path / "facts" / "kind").iterdir()
    assert change[0] in fact.read_bytes()
    fact.write_bytes(fact.read_bytes().replace(*change))
    assert store.fact("kind", "key") is None


def test_facts_that_changed_places_count_as_absent(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.remember("kind", "a", {"size": 1})
    (one,) = (tmp_path / "facts" / "kind").iterdir()
    data = one.read_bytes()
    one.unlink()
    store.remember("kind", "b", {"size": 2})
    (other,) = (tmp_path / "facts" / "kind").iterdir()
    other.write_bytes(data)
    assert store.fact("kind", "b") is None


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_an_unreadable_fact_counts_as_absent(tmp_path: Path, content: bytes) -> None:
    store = Store(tmp_path)
    store.remember("kind", "key", {})
    next((tmp_path / "facts" / "kind").iterdir()).write_bytes(content)
    assert store.fact("kind", "key") is None


def test_the_store_stands_where_the_environment_says() -> None:
    assert default_root({"ENVLOCK_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert default_root({"XDG_CACHE_HOME": "/b"}) == Path("/b/envlock")
    assert default_root({}) == Path.home() / ".cache" / "envlock"


def test_a_copy_outside_is_made_anew_only_when_it_is_wrong(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.writing() as writer:
        writer.write(b"one blob")
    target = tmp_path / "beside" / "copy"
    assert store.copy_out(writer.digest, target)
    first = target.stat()
    assert store.copy_out(writer.digest, target)
    assert target.stat().st_ino == first.st_ino != store.path(writer.digest).stat().st_ino
    target.write_bytes(b"one")
    assert store.copy_out(writer.digest, target)
    assert target.read_bytes() == b"one blob"
    assert not store.copy_out(Digest.of(b"another"), tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def _with_blob(store: Store) -> Digest:
    with store.writing() as writer:
        writer.write(b"one blob")
    return writer.digest


def _facts(store: Store) -> list[bytes]:
    return [path.read_bytes() for path in sorted((store.root / "facts").rglob("*.json"))]


def test_a_blob_that_was_hashed_and_left_alone_is_not_hashed_again(tmp_path: Path) -> None:
    store = Store(tmp_path, clock=later)
    digest = _with_blob(store)
    opened: list[str] = []
    with watching_opened(opened):
        assert store.find(digest) == store.path(digest)
        assert opened.count(str(store.path(digest))) == 1
        assert store.find(digest) == store.path(digest)
    assert opened.count(str(store.path(digest))) == 1


def test_a_blob_of_a_moment_ago_is_hashed_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest = _with_blob(store)
    assert store.find(digest) is not None
    assert _facts(store) == []


@pytest.mark.parametrize("damaged", [b"one", b"two blob", b""])
def test_damage_to_a_remembered_blob_is_found_though_its_times_are_put_back(
    tmp_path: Path, damaged: bytes
) -> None:
    store = Store(tmp_path, clock=later)
    digest = _with_blob(store)
    path = store.path(digest)
    assert store.find(digest) == path
    assert len(_facts(store)) == 1
    before = path.stat()
    time.sleep(0.05)
    path.write_bytes(damaged)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.find(digest) is None
    assert not path.exists()


def test_what_was_remembered_of_one_blob_does_not_vouch_for_another(tmp_path: Path) -> None:
    store = Store(tmp_path, clock=later)
    digest, other = _with_blob(store), Digest.of(b"another blob")
    store.path(digest).with_name(other.hex).write_bytes(b"wrong bytes")
    assert store.find(digest) is not None
    (fact,) = _facts(store)
    forged = json.loads(fact.replace(digest.hex.encode(), other.hex.encode()).partition(b"\n")[2])
    store.remember("whole", str(store.path(other)), forged)
    assert store.find(other) is None


def test_who_asks_for_it_has_a_blob_hashed_again(tmp_path: Path) -> None:
    store = Store(tmp_path, clock=later)
    digest = _with_blob(store)
    assert store.find(digest) is not None
    opened: list[str] = []
    with watching_opened(opened):
        assert replace(store, anew=True).find(digest) is not None
    assert str(store.path(digest)) in opened


def test_a_store_that_cannot_be_written_still_finds(tmp_path: Path) -> None:
    store = Store(tmp_path, clock=later)
    digest = _with_blob(store)
    (tmp_path / "facts").write_text("no directory")
    assert store.find(digest) == store.path(digest)
    assert store.find(digest) == store.path(digest)


def test_a_copy_outside_is_remembered_and_its_damage_found(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", clock=later)
    digest = _with_blob(store)
    target = tmp_path / "copy"
    assert store.copy_out(digest, target)
    assert store.copy_out(digest, target)
    time.sleep(0.05)
    target.write_bytes(b"oneXblob")
    assert store.copy_out(digest, target)
    assert target.read_bytes() == b"one blob"


def test_a_blob_that_is_here_is_not_copied_in_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digest = _with_blob(store)
    inode = store.path(digest).stat().st_ino
    (tmp_path / "source").write_bytes(b"one blob")
    assert store.add_file(tmp_path / "source", digest) == digest
    assert store.path(digest).stat().st_ino == inode
    store.path(digest).write_bytes(b"damaged")
    assert store.add_file(tmp_path / "source", digest) == digest
    assert store.path(digest).read_bytes() == b"one blob"
