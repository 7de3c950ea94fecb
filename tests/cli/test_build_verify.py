"""``envlock build --verify``: what it proves, and what it says of an image that is not so."""

import json
import re
import shutil
from dataclasses import replace

import pytest

from envlock.host.store import Store, _seal
from envlock.lock import file
from tests.host.clocks import later
from tests.image import lock_project
from tests.image.lock_project import LOCK, LockProject
from tests.image.wheels import wheel_items

MODULES = {f"demo/m{number}.py": f"def f():\n    return {number}\n".encode() for number in range(5)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> LockProject:
    """One project for all tests of the module: each leaves lock and store as they were."""
    root = tmp_path_factory.mktemp("verified")
    entry_points = "[console_scripts]\ndemo = demo:main\n"
    return lock_project.make(
        root,
        ("demo", wheel_items("demo", "1.0", MODULES, entry_points=entry_points)),
        ("other", wheel_items("other", "1.0", {"other.py": b"x = 1\n"})),
    )


def test_an_image_that_is_the_same_again_and_as_locked_is_written(made: LockProject) -> None:
    done = made.build("--verify", "-o", "oci-archive:proven.tar")
    assert done.returncode == 0, done.stderr
    assert re.search(r"same again +all \d+ layers and the manifest sha256:[0-9a-f]{64}", done.stdout)
    assert "as locked" in done.stdout
    assert (made.directory / "proven.tar").is_file()
    assert not list((made.store.root / "incoming").iterdir())


def test_an_archive_is_the_same_whether_layers_went_into_it_early_or_in_the_end(made: LockProject) -> None:
    """What is to be proven goes nowhere early, nor does the first of two places of one kind."""
    for arguments in (
        ("-o", "oci-archive:in-the-end.tar", "-o", "oci-archive:early.tar", "-o", "docker-archive:both.tar"),
        ("--verify", "-o", "oci-archive:proven.tar"),
    ):
        done = made.build(*arguments)
        assert done.returncode == 0, done.stderr
    names = ("in-the-end", "early", "both", "proven")
    assert len({(made.directory / f"{name}.tar").read_bytes() for name in names}) == 1
    assert not list(made.directory.glob(".*.part"))


def test_the_json_has_both_answers(made: LockProject) -> None:
    done = made.build("--verify", "--json", "-q", "-o", "oci-archive:proven.tar")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["verified"] == {"holds": True, "difference": None, "mismatches": []}
    assert shown["written"] == ["oci-archive:proven.tar"]


def test_a_cache_that_lies_is_found_out_and_nothing_is_written(made: LockProject) -> None:
    """A note of one layer is rightly sealed and of another layer: only a program could have written it."""
    assert made.build("-o", "oci-archive:before.tar").returncode == 0
    facts = sorted((made.store.root / "facts" / "bytecode-layer").glob("*.json"))
    notes = {fact: fact.read_bytes() for fact in facts}
    whole = [fact for fact in facts if b"diff_id" in notes[fact]]
    # By size, as the order of their names is any: first that of the wheel "other", last the runtime's.
    whole.sort(key=lambda fact: int(json.loads(notes[fact].partition(b"\n")[2])["size"]))
    assert len(whole) > 1
    _, _, other = notes[whole[1]].partition(b"\n")
    whole[0].write_bytes(_seal(whole[0], other) + b"\n" + other)
    try:
        done = made.build("--verify", "-o", "oci-archive:lie.tar")
    finally:
        for fact, note in notes.items():
            fact.write_bytes(note)
    assert done.returncode == 1, done.stderr
    assert "not the same again" in done.stdout
    assert re.search(r"bytecode.*sha256:", done.stdout)
    assert "other: 1 added" in done.stdout
    assert not (made.directory / "lie.tar").exists()


def test_an_image_that_is_not_what_the_lock_says_is_not_written(made: LockProject) -> None:
    lock, version = made.directory / LOCK, made.lock.python.version
    before = lock.read_bytes()
    file.write(lock, replace(made.lock, python=replace(made.lock.python, version="3.99.1")))
    try:
        done = made.build("--verify", "--no-bytecode", "-o", "oci-archive:other.tar")
    finally:
        lock.write_bytes(before)
    assert done.returncode == 1, done.stderr
    assert "same again" in done.stdout
    assert f"  python version: locked 3.99.1, found {version}" in done.stdout
    assert not (made.directory / "other.tar").exists()


def test_a_base_that_was_altered_beside_the_lock_is_told_as_another_one(made: LockProject) -> None:
    blob = made.lock.base.layers[0].blob
    beside, kept = made.directory / ".envlock/blobs" / blob.hex, made.store.path(blob)
    whole = kept.read_bytes()
    beside.parent.mkdir(parents=True)
    beside.write_bytes(whole[:-1] + b"x")
    kept.unlink()
    try:
        done = made.build("--verify", "-o", "oci-archive:other.tar")
    finally:
        kept.write_bytes(whole)
        shutil.rmtree(made.directory / ".envlock")
    assert done.returncode == 5, done.stderr
    assert f"a base layer is not the locked one: {beside}: expected {blob}, found sha256:" in done.stderr
    assert not (made.directory / "other.tar").exists()


def test_a_wheel_that_a_lying_memory_takes_for_the_locked_one_is_found_out(made: LockProject) -> None:
    """Build alone believes what it noted of the file; the second build of a proof hashes every wheel."""
    wheel = made.lock.packages[0].wheel
    path = made.store.path(wheel.sha256)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    store = Store(made.store.root, clock=later, anew=True)
    with store.memory("whole", str(path)) as memory:
        memory.answer("sha256", [str(path)], lambda: wheel.sha256.hex)
    try:
        done = made.build("--verify", "-o", "oci-archive:other.tar")
    finally:
        path.write_bytes(whole)
    assert done.returncode == 5, done.stderr
    assert wheel.name in done.stderr
    assert f"expected {wheel.sha256}, found sha256:" in done.stderr
    assert not (made.directory / "other.tar").exists()
