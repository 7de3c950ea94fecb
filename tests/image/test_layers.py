"""Wheels become layers in one pass over each; what that pass shows of the others comes in time."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.host.store import Store
from envlock.image.groups import WheelGroup
from envlock.image.layers import WheelLayers, build_wheel_layers, verify
from envlock.oci.model import Layer
from envlock.runtime.errors import InputError, IntegrityError
from tests.host.clocks import later
from tests.image.wheels import package, wheel_items, write_wheel

COMMAND = "[console_scripts]\ntool = shared:main\n"
TOOL = "/opt/env/bin/tool"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def wheel(directory: Path, name: str, *, command: str = "", shared: bytes | None = None) -> Path:
    files = {f"{name}/__init__.py": name.encode()}
    if shared is not None:
        files["shared/__init__.py"] = shared
    return write_wheel(directory, wheel_items(name, files=files, entry_points=command), name)


def build(store: Store, wheels: Mapping[str, Path], *together: tuple[str, ...]) -> WheelLayers:
    """Build a layer of each of ``together``."""
    packages = {name: package(path) for name, path in wheels.items()}
    groups = [WheelGroup(packages=tuple(packages[name] for name in names)) for names in together]
    return build_wheel_layers(groups, wheels, minor="3.11", store=store, advance=lambda _: None)


def blobs(store: Store) -> set[str]:
    return {path.name for path in (store.root / "blobs/sha256").iterdir()}


@pytest.mark.parametrize("together", [(("a",), ("b",)), (("a", "b"),)], ids=["apart", "in-one-layer"])
def test_a_command_of_two_wheels_is_the_first_ones(
    tmp_path: Path, store: Store, together: tuple[tuple[str, ...], ...]
) -> None:
    """No name in the wheels gives it away: it is seen when both were read, and then mended."""
    wheels = {name: wheel(tmp_path, name, command=COMMAND) for name in ("a", "b")}
    first = build(store, wheels, *together)
    assert first.left_out == {"b": (TOOL,)}
    # A store that knows what the wheels install comes to the same by itself.
    knowing = Store(tmp_path / "knowing")
    for fact in (store.root / "facts/installed-paths").iterdir():
        target = knowing.root / "facts/installed-paths" / fact.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(fact.read_bytes())
    assert build(knowing, wheels, *together) == first
    assert blobs(knowing) == {layer.blob.hex for layer in first.layers}


@pytest.mark.parametrize("together", [(("a",), ("b",)), (("a", "b"),)], ids=["apart", "in-one-layer"])
def test_a_file_of_two_wheels_is_known_before_any_layer_is_written(
    tmp_path: Path, store: Store, together: tuple[tuple[str, ...], ...]
) -> None:
    wheels = {name: wheel(tmp_path, name, shared=b"") for name in ("a", "b")}
    done = build(store, wheels, *together)
    assert done.left_out == {"b": ("/opt/env/lib/python3.11/site-packages/shared/__init__.py",)}
    assert blobs(store) == {layer.blob.hex for layer in done.layers}


@pytest.mark.parametrize("together", [(("a",), ("b",)), (("a", "b"),)], ids=["apart", "in-one-layer"])
def test_a_command_that_two_wheels_make_differently_is_refused(
    tmp_path: Path, store: Store, together: tuple[tuple[str, ...], ...]
) -> None:
    wheels = {
        "a": wheel(tmp_path, "a", command=COMMAND),
        "b": wheel(tmp_path, "b", command="[console_scripts]\ntool = other:main\n"),
    }
    with pytest.raises(InputError, match="two packages install different files at one path") as caught:
        build(store, wheels, *together)
    assert f"{TOOL}: found a and b" in str(caught.value)


def test_layers_that_nobody_contests_are_told_once(tmp_path: Path, store: Store) -> None:
    wheels = {name: wheel(tmp_path, name) for name in ("a", "b")}
    told: list[Layer] = []
    groups = [WheelGroup(packages=(package(path),)) for path in wheels.values()]
    done = build_wheel_layers(
        groups, wheels, minor="3.11", store=store, advance=lambda _: None, made=told.append
    )
    assert tuple(told) == done.layers


def test_a_guess_from_what_is_no_wheel_is_left_to_who_reads_it(tmp_path: Path, store: Store) -> None:
    good, bad = wheel(tmp_path, "a"), tmp_path / "b-1.0-py3-none-any.whl"
    bad.write_bytes(b"no zip")
    with pytest.raises(InputError, match="not a usable zip archive") as caught:
        build(store, {"a": good, "b": bad}, ("a",), ("b",))
    assert bad.name in str(caught.value)


def test_a_wheel_is_hashed_again_only_when_it_changed(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", clock=later)
    path = write_wheel(tmp_path, wheel_items())
    locked = package(path)
    verify(locked, path, store)
    before, status = path.read_bytes(), path.stat()
    path.write_bytes(before[:-1] + bytes((before[-1] ^ 1,)))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(IntegrityError, match="not the locked one"):
        verify(locked, path, store)


def test_what_the_store_remembers_of_a_wheel_is_believed(tmp_path: Path) -> None:
    """Shown by a memory that is wrong, under the hash of other bytes: nothing was hashed."""
    store = Store(tmp_path / "store", clock=later)
    path = write_wheel(tmp_path, wheel_items())
    locked = package(path)
    path.write_bytes(b"other bytes")
    with store.memory("whole", str(path)) as memory:
        memory.hold("sha256", memory.observe([str(path)]), locked.wheel.sha256.hex)
    verify(locked, path, store)
    with pytest.raises(IntegrityError, match="not the locked one"):
        verify(locked, path, replace(store, anew=True))
