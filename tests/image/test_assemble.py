import gzip
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.image import base_copies
from envlock.image.assemble import assemble
from envlock.image.plan import BuildOptions
from envlock.lock.model import Base, BaseLayer, Lock
from envlock.oci import layout
from envlock.oci.estargz import NOT_OF_THE_IMAGE
from envlock.oci.model import Image, Layer
from envlock.oci.reader import extract, open_image
from envlock.oci.validate import validate
from envlock.runtime.errors import InputError, IntegrityError
from tests.image import fixture_lock
from tests.image.wheels import (
    Item,
    changed,
    lock_of,
    package,
    wheel_items,
    write_wheel,
)

SITE = "opt/env/lib/python3.11/site-packages"


def built(
    lock: Lock,
    wheels: dict[str, Path],
    store: Store,
    directory: Path | None = None,
    made: Callable[[Layer], None] = lambda _: None,
) -> Image:
    base_copies.bring(lock.base, store, directory)
    return assemble(
        lock,
        lock_bytes=b"lock",
        wheels=wheels,
        store=store,
        options=BuildOptions(bytecode=False),
        progress=Silent(),
        made=made,
    )


def built_from(directory: Path, store: Store, items: list[Item]) -> Image:
    wheel = write_wheel(directory, items)
    return built(lock_of(package(wheel)), {"demo": wheel}, store)


def contents(store: Store, image: Image) -> dict[str, bytes]:
    found = {}
    for layer in image.layers:
        with gzip.open(store.path(layer.blob)) as plain, tarfile.open(fileobj=plain) as archive:
            for member in archive:
                if member.isreg() and f"/{member.name}" not in NOT_OF_THE_IMAGE:
                    assert member.name not in found
                    body = archive.extractfile(member)
                    assert body is not None
                    found[member.name] = body.read()
    return found


def test_an_image_holds_the_environment_the_runtime_and_the_lock(tmp_path: Path, store: Store) -> None:
    lock, wheels = fixture_lock.make(tmp_path, store)
    image = built(lock, wheels, store)
    layout.write(image, store.path, tmp_path / "image")
    opened = open_image(str(tmp_path / "image"))
    assert validate(opened) == ()
    extract(opened, tmp_path / "root")
    root = tmp_path / "root"
    assert (root / SITE / "demo/données.txt").read_bytes() == b"d"
    assert (root / "opt/env/bin/s").read_bytes() == b"#!/opt/env/bin/python\n"
    assert (root / "opt/env/bin/python").is_symlink()
    assert (root / "opt/envlock/bin/envlock-run").stat().st_mode & 0o777 == 0o755
    assert (root / "opt/envlock/runtime/envlock/runtime/seeds.py").is_file()
    assert (root / "opt/envlock/lib/yaml/__init__.py").is_file()
    assert (root / "opt/envlock/pylock.envlock.toml").read_bytes() == b"lock"
    assert (root / "work").stat().st_mode & 0o7777 == 0o1777


def test_a_second_build_takes_every_layer_from_the_store(tmp_path: Path, store: Store) -> None:
    lock, wheels = fixture_lock.make(tmp_path, store)
    first = built(lock, wheels, store)
    for wheel in wheels.values():
        wheel.unlink()
    assert built(lock, wheels, store) == first


def test_layers_are_told_in_order_each_once_it_is_there(tmp_path: Path, store: Store) -> None:
    # In processes, where the largest is begun first and ends last.
    sizes = {"small": 2 << 20, "large": 20 << 20, "other": 4 << 20}
    wheels = {
        name: write_wheel(tmp_path, wheel_items(name, "1.0", {f"{name}.bin": os.urandom(size)}), name)
        for name, size in sizes.items()
    }
    lock = lock_of(*map(package, wheels.values()))
    told: list[Layer] = []

    def made(layer: Layer) -> None:
        assert store.find(layer.blob) is not None
        told.append(layer)

    image = built(lock, wheels, store, made=made)
    assert len(told) >= len(sizes)
    assert tuple(told) == image.layers[: len(told)]
    again: list[Layer] = []
    built(lock, wheels, store, made=again.append)
    assert again == told


def test_a_damaged_layer_in_the_store_is_made_anew(tmp_path: Path, store: Store) -> None:
    lock, wheels = fixture_lock.make(tmp_path, store)
    first = built(lock, wheels, store)
    place = store.path(first.layers[1].blob)
    place.write_bytes(place.read_bytes()[:-1])
    assert built(lock, wheels, store) == first
    assert store.find(first.layers[1].blob) is not None


def test_a_damaged_fact_in_the_store_is_no_fact(tmp_path: Path, store: Store) -> None:
    lock, wheels = fixture_lock.make(tmp_path, store)
    first = built(lock, wheels, store)
    for fact in (store.root / "facts" / "wheel-layer").iterdir():
        fact.write_text('{"diff_id": "x"}')
    assert built(lock, wheels, store) == first


def test_a_known_wheel_that_was_truncated_since_is_refused(tmp_path: Path, store: Store) -> None:
    lock, wheels = fixture_lock.make(tmp_path, store)
    first = built(lock, wheels, store)
    store.path(first.layers[1].blob).unlink()
    store.path(first.layers[2].blob).unlink()
    wheels["demo"].write_bytes(wheels["demo"].read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"the wheel of demo 1\.0 is not the locked one"):
        built(lock, wheels, store)


def test_a_wheel_with_another_hash_is_refused_and_nothing_is_written(tmp_path: Path, store: Store) -> None:
    wheel = write_wheel(tmp_path, wheel_items())
    lock = lock_of(package(wheel))
    write_wheel(tmp_path, wheel_items(files={"demo/evil.py": b"evil"}))
    with pytest.raises(IntegrityError) as caught:
        built(lock, {"demo": wheel}, store)
    assert caught.value.exit_code == 5
    assert not list(store.root.rglob("*"))


def test_every_file_that_differs_from_record_is_named_and_no_layer_stays(
    tmp_path: Path, store: Store
) -> None:
    items = wheel_items(
        files={"demo/a.py": b"a", "demo/b.py": b"b", "demo/c.py": b"c"}, stored=("demo/b.py",)
    )
    items = changed(items, "demo/a.py", data=b"A")
    items = changed(items, "demo/b.py", data=b"B")
    with pytest.raises(IntegrityError, match=r"2 file\(s\) differ") as caught:
        built_from(tmp_path, store, items)
    assert "demo-1.0-py3-none-any.whl: demo/a.py" in str(caught.value)
    assert "demo/b.py" in str(caught.value)
    assert not list((store.root / "incoming").iterdir())
    assert not (store.root / "blobs").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"crc": 1}, "CRC-32 00000001"),
        ({"body": b"\x03\x00", "size": 6}, "found 0 bytes"),
        ({"method": 0, "crc": 1}, "CRC-32 00000001"),
    ],
)
def test_a_corrupt_member_is_refused_by_wheel_and_entry(
    tmp_path: Path, store: Store, fields: dict[str, object], message: str
) -> None:
    items = changed(wheel_items(files={"demo/a.py": b"x = 1\n"}), "demo/a.py", **fields)
    with pytest.raises(InputError, match=message) as caught:
        built_from(tmp_path, store, items)
    assert "demo-1.0-py3-none-any.whl: demo/a.py" in str(caught.value)


def test_a_wheel_that_was_not_given_is_named(store: Store, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, wheel_items())
    with pytest.raises(InputError, match=r"wheel not given: demo-1\.0"):
        built(lock_of(package(wheel)), {}, store)
    with pytest.raises(InputError, match="cannot read a wheel"):
        built(lock_of(package(wheel)), {"demo": tmp_path / "none"}, store)


def namespace(name: str, data: bytes, directory: Path) -> Path:
    items = wheel_items(name, "1.0", {"nvidia/__init__.py": data, f"nvidia/{name}.py": b"x"})
    return write_wheel(directory, items, name)


def test_wheels_that_share_a_file_of_the_same_bytes_are_installed_once(tmp_path: Path, store: Store) -> None:
    wheels = {name: namespace(name, b"", tmp_path) for name in ("aa", "bb", "cc")}
    image = built(lock_of(*map(package, wheels.values())), wheels, store)
    found = contents(store, image)  # which asserts that no path comes twice
    assert found[f"{SITE}/nvidia/__init__.py"] == b""


def test_two_wheels_owning_one_path_with_different_bytes_are_refused(tmp_path: Path, store: Store) -> None:
    wheels = {name: namespace(name, name.encode(), tmp_path) for name in ("aa", "bb")}
    with pytest.raises(InputError, match="found aa and bb"):
        built(lock_of(*map(package, wheels.values())), wheels, store)


def test_the_wheel_whose_file_was_installed_owns_a_contested_path(tmp_path: Path, store: Store) -> None:
    wheels = {name: namespace(name, name.encode(), tmp_path) for name in ("aa", "bb")}
    lock = lock_of(package(wheels["aa"], modified=("nvidia/__init__.py",)), package(wheels["bb"]))
    assert contents(store, built(lock, wheels, store))[f"{SITE}/nvidia/__init__.py"] == b"bb"


def with_base(tmp_path: Path, store: Store) -> tuple[Lock, BaseLayer, Path]:
    lock, _ = fixture_lock.make(tmp_path, store)
    layer = lock.base.layers[0]
    beside = tmp_path / "lock" / ".envlock" / "blobs" / layer.blob.hex
    beside.parent.mkdir(parents=True)
    store.path(layer.blob).rename(beside)
    return lock, layer, beside


def test_a_base_layer_is_taken_from_beside_the_lock(tmp_path: Path, store: Store) -> None:
    lock, layer, _ = with_base(tmp_path, store)
    base_copies.bring(lock.base, store, tmp_path / "lock")
    assert store.find(layer.blob) is not None


def test_a_missing_base_layer_is_told_with_its_origin(tmp_path: Path, store: Store) -> None:
    lock, layer, beside = with_base(tmp_path, store)
    beside.unlink()
    for directory in (None, tmp_path / "lock"):
        with pytest.raises(InputError, match=layer.blob.hex) as caught:
            built(lock, {}, store, directory)
        assert caught.value.exit_code == 3
        assert "capture" in str(caught.value.hint)
    other = Base(kind="oci", layers=lock.base.layers, reference="debian@sha256:x")
    with pytest.raises(InputError) as caught:
        base_copies.bring(other, store)
    assert "debian@sha256:x" in str(caught.value.hint)


def test_a_base_layer_with_wrong_bytes_is_refused(tmp_path: Path, store: Store) -> None:
    lock, layer, beside = with_base(tmp_path, store)
    beside.write_bytes(b"other")
    with pytest.raises(IntegrityError, match="a base layer is not the locked one") as caught:
        base_copies.bring(lock.base, store, tmp_path / "lock")
    assert caught.value.exit_code == 5
    assert not store.path(layer.blob).exists()
