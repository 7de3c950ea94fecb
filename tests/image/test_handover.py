"""The second pass over a wheel knows what the first one found, and believes no byte for it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.host.store import Store
from envlock.image import handover
from envlock.image.install import install
from envlock.image.layers import verify
from envlock.image.wheel import open_wheel, read_contents
from envlock.runtime.errors import InputError, IntegrityError
from tests.host.clocks import later
from tests.image.wheels import COMPRESSED, COMPRESSED_TEXT, changed, package, wheel_items, write_wheel

FILES = {
    "demo/__init__.py": COMPRESSED_TEXT,
    "demo/donn\u00e9es.txt": b"d",
    "demo/empty": b"",
    "demo-1.0.data/scripts/s": b"#!python\n\xff\n",
}


def test_what_is_handed_over_comes_out_as_it_was(tmp_path: Path) -> None:
    items = wheel_items(files=FILES, entry_points="[console_scripts]\ndemo = demo:main\n")
    wheel = write_wheel(tmp_path, changed(items, "demo/__init__.py", body=COMPRESSED))
    with open_wheel(wheel, wheel.name) as reader:
        installed = install(read_contents(reader), minor="3.11")
        members, again = handover.unpacked(handover.packed(reader, installed))
        assert again == installed
        copied = [file.source for file in installed if isinstance(file.source, str)]
        assert "demo/__init__.py" in copied
        assert members == tuple(reader.members[name] for name in copied)
    with open_wheel(wheel, wheel.name, members) as second:
        assert second.content("demo/__init__.py") == FILES["demo/__init__.py"]


def test_bytes_are_checked_against_what_was_handed_over(tmp_path: Path) -> None:
    items = wheel_items(files={"demo/a.py": b"a = 1\n"}, stored=("demo/a.py",))
    wheel = write_wheel(tmp_path, items)
    with open_wheel(wheel, wheel.name) as reader:
        members = tuple(reader.members.values())
    write_wheel(tmp_path, changed(items, "demo/a.py", data=b"a = 2\n"))
    with open_wheel(wheel, wheel.name, members) as second, pytest.raises(InputError, match="corrupt data"):
        second.content("demo/a.py")


def test_a_wheel_is_hashed_again_only_when_it_changed(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", clock=later)
    wheel = write_wheel(tmp_path, wheel_items())
    locked = package(wheel)
    verify(locked, wheel, store)
    before, status = wheel.read_bytes(), wheel.stat()
    wheel.write_bytes(before[:-1] + bytes((before[-1] ^ 1,)))
    os.utime(wheel, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(IntegrityError, match="not the locked one"):
        verify(locked, wheel, store)


def test_what_the_store_remembers_of_a_wheel_is_believed(tmp_path: Path) -> None:
    """Shown by a memory that is wrong, under the hash of other bytes: nothing was hashed."""
    store = Store(tmp_path / "store", clock=later)
    wheel = write_wheel(tmp_path, wheel_items())
    locked = package(wheel)
    wheel.write_bytes(b"other bytes")
    path = str(wheel)
    with store.memory("whole", path) as memory:
        memory.hold("sha256", memory.observe([path]), locked.wheel.sha256.hex)
    verify(locked, wheel, store)
    with pytest.raises(IntegrityError, match="not the locked one"):
        verify(locked, wheel, replace(store, anew=True))
