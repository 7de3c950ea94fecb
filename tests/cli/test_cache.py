"""``envlock cache``: what it counts and removes, and what it leaves alone."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.cli import main
from envlock.core.digest import Digest
from envlock.host import trees
from envlock.host.store import Store

DAY = 86_400
SECOND = 1_000_000_000


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with one thing of each kind."""
    found = Store(tmp_path / "store")
    monkeypatch.setenv("ENVLOCK_CACHE", str(found.root))
    for data in (b"PK\3\4 a wheel", b"\x1f\x8b a layer"):
        with found.writing() as sink:
            sink.write(data)
    found.remember("kind", "key", {"a": 1})
    trees.kept(trees.place(found, "rootfs", "1" * 64), found, _fill)
    trees.kept(trees.place(found, "interpreters", "2" * 64), found, _fill)
    (found.root / "incoming" / ".killed.part").write_bytes(b"half")
    (found.root / "rootfs" / ".killed.part").mkdir()
    return found


def _fill(part: Path) -> None:
    (part / "file").write_bytes(b"x")


@pytest.fixture
def ended(capsys: pytest.CaptureFixture[str]) -> "Ended":
    return Ended(capsys)


class Ended:
    """Runs ``envlock cache`` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, status: int = 0) -> str:
        with pytest.raises(SystemExit) as caught:
            main.main(["cache", *arguments])
        said = self._capsys.readouterr()
        assert caught.value.code == status, said.err
        return said.err if status else said.out

    def counts(self, *arguments: str) -> dict[str, int]:
        kinds = json.loads(self(*arguments, "--json"))["kinds"]
        return {kind: counted["entries"] for kind, counted in kinds.items()}


ALL = {"wheels": 1, "layers": 1, "images": 1, "interpreters": 1, "notes": 1, "unfinished": 2}
NONE = dict.fromkeys(ALL, 0)


def age(store: Store, days: float) -> None:
    """Make everything look as if it was last used so long ago; a tree's own files stay as they are."""
    then = time.time() - days * DAY
    for path in store.root.rglob("*"):
        if path.name != "file":
            os.utime(path, (then, then))


def blob(data: bytes) -> Digest:
    return Digest.of(data)


def test_info_counts_by_kind(store: Store, ended: Ended) -> None:
    assert ended.counts("info") == ALL
    shown = ended("info")
    assert str(store.root) in shown
    assert "interpreters" in shown
    assert " \n" not in shown
    assert shown.splitlines()[-1].split()[:2] == ["total", "7"]


def test_prune_takes_what_was_not_used_and_what_was_left_behind(store: Store, ended: Ended) -> None:
    assert ended.counts("prune") == {**NONE, "unfinished": 2}
    age(store, 31)
    # Its file has long been left alone, so its hash is remembered, and remembering it is its use.
    later = replace(store, clock=lambda: time.time_ns() + 10 * SECOND)
    assert later.find(blob(b"PK\3\4 a wheel")) is not None
    assert ended.counts("prune", "--dry-run") == {**ALL, "unfinished": 0, "wheels": 0}
    assert ended.counts("prune") == {**ALL, "unfinished": 0, "wheels": 0}
    assert ended.counts("prune") == NONE
    assert store.find(blob(b"PK\3\4 a wheel")) is not None
    assert store.find(blob(b"\x1f\x8b a layer")) is None


@pytest.mark.parametrize(("span", "taken"), [("12h", 1), ("1d", 1), ("2", 0), ("1w", 0), ("0", 1)])
def test_ages_are_hours_days_or_weeks(store: Store, ended: Ended, span: str, taken: int) -> None:
    age(store, 1.5)
    assert ended.counts("prune", "--older-than", span)["wheels"] == taken


@pytest.mark.parametrize("span", ["", "3m", "-1", "1.5d", "d"])
def test_what_is_no_age_is_a_usage_error(ended: Ended, span: str) -> None:
    assert "is no age" in ended("prune", f"--older-than={span}", status=2)


def test_a_tree_in_use_counts_as_used(store: Store, ended: Ended) -> None:
    age(store, 31)
    place = trees.place(store, "rootfs", "1" * 64)
    trees.kept(place, store, lambda part: pytest.fail("it was altered"))
    assert ended.counts("prune")["images"] == 0
    assert trees.is_whole(place)


def test_clear_removes_all_but_what_a_job_uses(store: Store, ended: Ended) -> None:
    place = trees.place(store, "rootfs", "1" * 64)
    lease = trees.lease(place)
    assert lease is not None
    assert f"a running job uses it: {place}" in ended("clear")
    assert trees.is_whole(place)
    lease.end()
    assert ended.counts("clear") == {**NONE, "images": 1}
    assert ended.counts("info") == NONE


@pytest.mark.parametrize("command", ["prune", "clear"])
def test_nothing_is_removed_while_a_command_uses_the_store(store: Store, ended: Ended, command: str) -> None:
    with store.used():
        assert "the cache is in use" in ended(command, status=4)
        assert ended.counts("info") == ALL
    assert ended.counts("info") == ALL


def test_an_absent_cache_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: Ended) -> None:
    monkeypatch.setenv("ENVLOCK_CACHE", str(tmp_path / "none"))
    assert ended.counts("info") == NONE
    assert ended.counts("clear") == NONE
