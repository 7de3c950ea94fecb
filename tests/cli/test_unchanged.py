import os
import sys
import time
import venv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.cli import main, unchanged
from envlock.cli.request import Request
from envlock.host.reach import Reach
from envlock.host.store import Store
from envlock.lock.model import BaseLayer, Lock
from tests.cli.test_check import put_distribution
from tests.host.clocks import later
from tests.image.wheels import lock_of

_NOTE = "nothing has changed since"


class Captured:
    """An environment with one distribution, and captures of it into a store of its own."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.prefix, self.output, self._capsys = root / "venv", root / "pylock.toml", capsys
        venv.create(self.prefix, symlinks=True)
        put_distribution(self.prefix, "1.0")
        self.site = next(self.prefix.glob("lib/python3*/site-packages"))

    def again(self, *options: str) -> tuple[bytes, bool]:
        """Return the lock, and whether it was the remembered one."""
        argv = ("capture", "--offline", "--python", str(self.prefix / "bin/python"), "-o", str(self.output))
        assert main._status([*argv, "--project", str(self.prefix), *options]) == 0
        return self.output.read_bytes(), _NOTE in self._capsys.readouterr().err

    def settled(self) -> bytes:
        """Return the lock of the environment, which is then remembered."""
        time.sleep(2.1)
        return self.again()[0]


@pytest.fixture
def captured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Captured:
    monkeypatch.setenv("ENVLOCK_CACHE", str(tmp_path / "store"))
    # Nothing that another place may yet confirm.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    return Captured(tmp_path, capsys)


def _edit(path: Path) -> None:
    status = path.stat()
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


_CHANGES: dict[str, Callable[[Path], object]] = {
    "a byte": lambda site: _edit(next(site.glob("demo*/METADATA"))),
    "a module that nobody installed": lambda site: (site / "loose.py").write_text("x = 1\n"),
    "the environment's own settings": lambda site: _edit(site.parents[2] / "pyvenv.cfg"),
}


@pytest.mark.slow
def test_a_lock_is_given_again_until_something_changes(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for change in _CHANGES.values():
        before = captured.settled()
        assert captured.again() == (before, True)
        change(captured.site)
        after, remembered = captured.again()
        assert not remembered
        assert captured.again("--verify") == (after, False)
    captured.settled()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert b"OMP_NUM_THREADS" in captured.again()[0]


def test_only_a_live_environment_on_its_own_base_is_remembered() -> None:
    request = Request(python=None, project=None, offline=True, ca_bundle=None, output=Path("pylock.toml"))
    for other in (
        replace(request, source="oci:image"),
        replace(request, job=("true",)),
        replace(request, base="oci:base"),
        replace(request, requirements=(Path("x"),)),
    ):
        assert unchanged.question(other, {}) is None


@pytest.fixture
def question(tmp_path: Path) -> unchanged.Question:
    return unchanged.Question(python=tmp_path / "python", about="it", indexes=())


@pytest.fixture
def lock(store: Store) -> Lock:
    with store.writing() as sink:
        sink.write(b"a layer")
    made = lock_of(base=(BaseLayer(diff_id=sink.digest, blob=sink.digest, size=7, media_type="x"),))
    return replace(made, requires_python="==3.11.*")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", clock=later)


def test_it_is_given_only_to_the_same_question_and_with_all_that_travels_beside_it(
    question: unchanged.Question, lock: Lock, store: Store
) -> None:
    unchanged.keep(question, store, lock, Reach(), later())
    assert unchanged.recall(question, store) == lock
    assert unchanged.recall(replace(question, about="something else"), store) is None
    assert unchanged.recall(replace(question, python=Path("/other")), store) is None
    assert unchanged.recall(question, Store(store.root, anew=True)) is None
    store.path(lock.base.layers[0].blob).unlink()
    assert unchanged.recall(question, store) is None


def test_what_changed_while_it_was_made_is_not_remembered(
    question: unchanged.Question, lock: Lock, store: Store, tmp_path: Path
) -> None:
    reach = Reach(trees=(str(tmp_path),))
    unchanged.keep(question, store, lock, reach, tmp_path.stat().st_ctime_ns)
    assert unchanged.recall(question, store) is None


def test_bytecode_caches_cost_one_longer_look(
    question: unchanged.Question, lock: Lock, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    unchanged.keep(question, store, lock, Reach(trees=(f"{tmp_path}/site",)), later())
    (tmp_path / "site/__pycache__").mkdir()
    assert unchanged.recall(question, store) == lock
    monkeypatch.setattr(Reach, "look", _not_again)
    assert unchanged.recall(question, store) == lock


def _not_again(self: Reach) -> None:
    pytest.fail("looked into once more")


def test_the_locale_that_a_python_gives_those_that_it_starts_is_no_other_question() -> None:
    request = Request(
        python=Path(sys.executable), project=None, offline=True, ca_bundle=None, output=Path("pylock.toml")
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    plain = unchanged.question(request, environ)
    assert unchanged.question(request, {**environ, "LC_CTYPE": "C.UTF-8"}) == plain
    assert unchanged.question(request, {**environ, "LC_CTYPE": "de_DE.ISO-8859-1"}) != plain
