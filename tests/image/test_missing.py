from dataclasses import replace
from pathlib import Path

import pytest

from envlock.host.store import Store
from envlock.image.missing import missing, refuse
from envlock.lock.model import Base, Lock
from envlock.runtime.errors import InputError, UnreachableError
from tests.image import fixture_lock


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    """A lock whose parts are in no store; ``other`` is on no index."""
    lock, _ = fixture_lock.make(tmp_path, Store(tmp_path / "another-store"))
    demo, other = lock.packages
    wheel = replace(other.wheel, url=None, path=f".envlock/wheels/{other.wheel.name}")
    return replace(lock, packages=(demo, replace(other, wheel=wheel)))


def names(lock: Lock, store: Store, directory: Path, *, offline: bool) -> list[str]:
    return [one.name for one in missing(lock, store, directory, offline=offline)]


def test_online_only_what_no_index_has_can_be_missing(lock: Lock, store: Store, tmp_path: Path) -> None:
    layer = lock.base.layers[0]
    local = [f"base layer base ({layer.blob})", "wheel other-2.5-py3-none-any.whl"]
    assert names(lock, store, tmp_path, offline=False) == local
    assert names(lock, store, tmp_path, offline=True) == [
        local[0],
        "wheel demo-1.0-py3-none-any.whl",
        local[1],
    ]


def test_what_lies_in_the_store_or_beside_the_lock_is_not_missing(
    lock: Lock, store: Store, tmp_path: Path
) -> None:
    demo, other = lock.packages
    store.add_file(tmp_path / demo.wheel.name)
    beside = tmp_path / "project"
    (beside / ".envlock/wheels").mkdir(parents=True)
    (beside / str(other.wheel.path)).write_bytes(b"whatever it is")
    blob = beside / ".envlock/blobs" / lock.base.layers[0].blob.hex
    blob.parent.mkdir()
    blob.write_bytes(b"")
    assert missing(lock, store, beside, offline=True) == ()


def test_everything_missing_is_named_in_one_error(lock: Lock, store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        refuse(missing(lock, store, tmp_path / "project", offline=True))
    told = caught.value.render()
    assert "3 of the lock's artifacts are neither in the store" in told
    layer = lock.base.layers[0]
    assert f"base layer base ({layer.blob}), {layer.size / 1e3:.1f} kB: packed at capture\n" in told
    assert ".envlock/wheels/other-2.5-py3-none-any.whl beside the lock" in told
    assert "https://index.example/demo-1.0-py3-none-any.whl" in told
    assert "export --bundle" in str(caught.value.hint)


def test_wheels_that_an_index_has_are_out_of_reach_rather_than_lost(
    lock: Lock, store: Store, tmp_path: Path
) -> None:
    on_index = replace(lock, packages=lock.packages[:1], base=Base(kind="host", layers=()))
    with pytest.raises(UnreachableError, match="1 of the lock's artifacts is neither") as caught:
        refuse(missing(on_index, store, tmp_path, offline=True))
    assert "--offline" in str(caught.value.hint)


def test_a_base_with_a_reference_says_so(lock: Lock, store: Store, tmp_path: Path) -> None:
    layer = replace(lock.base.layers[0], comment="", size=31_000_000)
    base = Base(kind="docker-daemon", layers=(layer,), reference="debian:12")
    with pytest.raises(
        InputError, match=r"base layer without a name .*, 31\.0 MB: of docker-daemon:debian:12"
    ):
        refuse(missing(replace(lock, packages=(), base=base), store, tmp_path, offline=False))


def test_nothing_missing_is_no_error() -> None:
    refuse(())
