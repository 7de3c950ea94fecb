from pathlib import Path

import pytest

from envlock.core.digest import Digest
from envlock.host.store import Store, default_root
from envlock.runtime.errors import IntegrityError


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
