import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from envlock.core.digest import Digest
from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.lock.model import Package, Wheel
from envlock.runtime.errors import InputError, IntegrityError, UnreachableError
from envlock.wheels.fetch import fetch
from envlock.wheels.sidecar import keep
from tests.wheels.conftest import IndexSimulator, wheel

Fetch = Callable[..., dict[str, Path]]


@pytest.fixture
def get(store: Store, client: requests.Session, tmp_path: Path) -> Fetch:
    def call(*packages: Package, offline: bool = False) -> dict[str, Path]:
        return fetch(
            packages,
            lock_directory=tmp_path,
            store=store,
            session=client,
            offline=offline,
            progress=Silent(),
        )

    return call


def package(made: tuple[str, bytes], url: str | None) -> Package:
    name, data = made
    path = None if url is not None else f".envlock/wheels/{name}"
    return Package(
        name=name.split("-")[0],
        version="1.0",
        wheel=Wheel(name=name, sha256=Digest.of(data), size=len(data), url=url, path=path),
        source="index" if url else "repacked",
        evidence="matched" if url else "repacked",
    )


def incoming(store: Store) -> list[Path]:
    return list((store.root / "incoming").iterdir()) if (store.root / "incoming").exists() else []


def test_wheels_are_fetched_once_and_then_come_from_the_store(index: IndexSimulator, get: Fetch) -> None:
    made = [wheel(name, "1.0", {f"{name}.py": name.encode()}) for name in ("one", "two", "three")]
    packages = [package(one, index.add(one)) for one in made]
    paths = get(*packages)
    assert {name: path.read_bytes() for name, path in paths.items()} == {
        one[0].split("-")[0]: one[1] for one in made
    }
    assert len(index.requests) == 3
    assert get(*packages, offline=True) == paths
    assert len(index.requests) == 3


def test_a_truncated_wheel_in_the_store_is_fetched_again(
    index: IndexSimulator, get: Fetch, store: Store
) -> None:
    made = wheel("demo", "1.0", {"demo.py": b"x"})
    wanted = package(made, index.add(made))
    kept = store.path(wanted.wheel.sha256)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(made[1][:-10])
    assert get(wanted)["demo"].read_bytes() == made[1]


def test_bytes_of_another_hash_are_refused_by_the_package_s_name(
    index: IndexSimulator, get: Fetch, store: Store
) -> None:
    made = wheel("demo", "1.0", {"demo.py": b"x"})
    wanted = package(made, index.add(made))
    index.files[f"/files/{made[0]}"] = b"something else"
    with pytest.raises(IntegrityError, match=r"the wheel of demo 1\.0") as caught:
        get(wanted)
    assert caught.value.where == wanted.wheel.url
    assert caught.value.exit_code == 5
    assert not store.path(wanted.wheel.sha256).exists()
    assert incoming(store) == []


@pytest.mark.parametrize("from_store", [True, False])
def test_a_size_that_is_not_the_lock_s_is_refused(
    index: IndexSimulator, get: Fetch, *, from_store: bool
) -> None:
    made = wheel("demo", "1.0", {"demo.py": b"x"})
    wanted = package(made, index.add(made))
    if from_store:
        get(wanted)
    altered = replace(wanted, wheel=replace(wanted.wheel, size=wanted.wheel.size + 1))
    with pytest.raises(IntegrityError, match=r"the wheel of demo 1\.0"):
        get(altered)


@pytest.mark.parametrize("status", [404, 429, 500])
def test_a_wheel_that_cannot_be_had_is_told_by_its_package(
    index: IndexSimulator, get: Fetch, store: Store, status: int
) -> None:
    made = wheel("demo", "1.0", {"demo.py": b"x"})
    wanted = package(made, index.add(made))
    index.faults[f"/files/{made[0]}"] = [status]
    with pytest.raises(UnreachableError, match=r"cannot get the wheel of demo 1\.0"):
        get(wanted)
    assert incoming(store) == []


def test_offline_a_wheel_that_is_not_in_the_store_is_out_of_reach(index: IndexSimulator, get: Fetch) -> None:
    made = wheel("demo", "1.0", {"demo.py": b"x"})
    with pytest.raises(UnreachableError, match=r"demo 1\.0 is not in the store") as caught:
        get(package(made, index.add(made)), offline=True)
    assert index.requests == []
    assert caught.value.exit_code == 4


def test_a_failure_stops_the_other_downloads(index: IndexSimulator, get: Fetch, store: Store) -> None:
    noise = b"".join(hashlib.sha256(i.to_bytes(4, "big")).digest() for i in range(50_000))
    large = [wheel(f"big{i}", "1.0", {"x.bin": noise + bytes([i])}) for i in range(10)]
    packages = [package(one, index.add(one)) for one in large]
    gone = package(wheel("gone", "1.0", {}), f"{index.url}/gone/x.whl")
    with pytest.raises(UnreachableError, match="gone"):
        get(gone, *packages)
    assert len(index.requests) < 1 + len(large)
    assert incoming(store) == []


def test_a_repacked_wheel_comes_from_beside_the_lock(get: Fetch, store: Store, tmp_path: Path) -> None:
    made = wheel("demo", "1.0", {"demo.py": b"x"})
    wanted = package(made, None)
    with pytest.raises(InputError, match=r"the wheel of demo 1\.0 is missing") as caught:
        get(wanted)
    assert caught.value.exit_code == 3
    assert caught.value.where == str(tmp_path / str(wanted.wheel.path))
    place = tmp_path / str(wanted.wheel.path)
    place.parent.mkdir(parents=True)
    place.write_bytes(made[1])
    assert get(wanted)["demo"].read_bytes() == made[1]
    place.write_bytes(b"altered")
    assert get(wanted)["demo"].read_bytes() == made[1], "the store has the right bytes"
    store.path(wanted.wheel.sha256).unlink()
    with pytest.raises(IntegrityError, match=r"the wheel of demo 1\.0"):
        get(wanted)


def test_repacked_wheels_are_kept_beside_the_lock_and_ignored_by_git(store: Store, tmp_path: Path) -> None:
    made = wheel("demo", "1.0", {"demo.py": b"x"})
    wanted = package(made, None)
    with store.writing() as sink:
        sink.write(made[1])
    there = tmp_path / "lock"
    for _ in range(2):
        keep([wanted], store, there)
    copy = there / str(wanted.wheel.path)
    assert copy.read_bytes() == made[1]
    assert copy.stat().st_nlink == 1
    assert (there / ".envlock" / ".gitignore").read_text() == "*\n"
    copy.write_bytes(b"truncated")
    keep([wanted], store, there)
    assert copy.read_bytes() == made[1]
    assert sorted(path.name for path in copy.parent.iterdir()) == [made[0]]


def test_a_lock_with_index_wheels_only_makes_no_directory(store: Store, tmp_path: Path) -> None:
    keep([package(wheel("demo", "1.0", {}), "https://index.example/x.whl")], store, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_wheel_that_is_nowhere_cannot_be_kept(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the wheel of demo 1\.0 is not in the store"):
        keep([package(wheel("demo", "1.0", {}), None)], store, tmp_path)
