"""What is remembered of OS packages: checksums of their files, and what the archive's index knew."""

import hashlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from envlock.capture import apt, host_definition, package_files
from envlock.capture.packages import Database, OsPackage
from envlock.core.digest import Digest
from envlock.host.store import Store
from envlock.lock.environment import PackedPackage
from envlock.lock.model import Gap, SystemPackage
from tests.host.clocks import later
from tests.host.opened import watching_opened

DEFINITION = replace(host_definition.read(), keep=("*",), exclude=(), configuration=())


def _md5(data: bytes) -> str:
    return f"md5:{hashlib.md5(data, usedforsecurity=False).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Simulator(Database):
    """Two packages, and an archive whose index is one file; ``asked`` tells who asked it."""

    place: Path
    asked: list[str] = field(default_factory=list)

    def files(self, package: OsPackage) -> tuple[str, ...]:
        return tuple(str(self.place / package.name / name) for name in ("lib.so", "data", "conf"))

    def checksums(self, package: OsPackage) -> dict[str, str]:
        listed = self.files(package)[:2]
        return {path: _md5(path.encode()) for path in listed}

    def licences(self, package: OsPackage) -> tuple[str, ...]:
        return ()

    def indexes(self) -> tuple[str, ...]:
        return (str(self.place / "index"),)

    def identified(self, packages: Iterable[OsPackage]) -> tuple[SystemPackage, ...]:
        chosen = tuple(packages)
        self.asked.extend(one.name for one in chosen)
        known = (self.place / "index").read_text()
        return tuple(
            replace(one.described, sha256=Digest.of(known.encode())) if one.name in known else one.described
            for one in chosen
        )


def _package(name: str, version: str = "1") -> OsPackage:
    return OsPackage(
        key=f"{name}:amd64", name=name, version=version, architecture="amd64", manager="dpkg", status=""
    )


@pytest.fixture
def database(tmp_path: Path) -> _Simulator:
    made = _Simulator(place=tmp_path / "machine", store=Store(tmp_path / "store", clock=later))
    for package in (_package("one"), _package("two")):
        for path in map(Path, made.files(package)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(str(path).encode())
    (made.place / "index").write_text("one")
    return made


def _pack(database: Database, *packages: OsPackage) -> tuple[tuple[PackedPackage, ...], tuple[Gap, ...]]:
    return package_files.pack(packages or (_package("one"), _package("two")), database, DEFINITION)


def _read(database: _Simulator) -> tuple[list[str], object]:
    opened: list[str] = []
    with watching_opened(opened):
        found = _pack(database)
    return [path for path in opened if path.startswith(f"{database.place}/")], found


def test_files_and_index_are_read_once_while_they_stay_as_they_are(database: _Simulator) -> None:
    _, first = _read(database)
    assert database.asked == ["one", "two"]
    read, again = _read(database)
    assert again == first
    assert read == []
    assert database.asked == ["one", "two"]


def test_with_memory_and_without_it_the_answer_is_the_same(database: _Simulator) -> None:
    (database.place / "one/lib.so").write_bytes(b"edited")
    (database.place / "two/data").unlink()
    without = _pack(replace(database, store=None))
    assert [gap.subject for gap in without[1]] == ["one", "two"]
    for _ in range(2):
        assert _pack(database) == without


@pytest.mark.parametrize("name", ["lib.so", "data"])
def test_edit_of_the_same_length_with_its_times_put_back_is_found(database: _Simulator, name: str) -> None:
    assert _pack(database)[1] == ()
    path = database.place / "one" / name
    before = path.stat()
    time.sleep(0.05)
    path.write_bytes(b"X" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    for _ in range(2):
        packed, (gap,) = _pack(database)
        assert gap.subject == "one"
        assert name in gap.reason
        (owned,) = [file for file in packed[0].files if file.path == str(path)]
        assert owned.checksum == _md5(b"X" * before.st_size)


def test_a_new_index_is_asked_again(database: _Simulator) -> None:
    _pack(database)
    (database.place / "index").write_text("one two")
    packed, _ = _pack(database)
    assert database.asked == ["one", "two"] * 2
    assert [one.package.sha256 for one in packed] == [Digest.of(b"one two")] * 2


def test_a_new_version_is_asked_for_alone(database: _Simulator) -> None:
    _pack(database)
    _pack(database, _package("one"), _package("two", "2"))
    assert database.asked == ["one", "two", "two"]


def test_another_expected_checksum_is_another_question(database: _Simulator) -> None:
    """The same files of a package that was built again."""
    _pack(database)

    class Other(_Simulator):
        __slots__ = ()

        def checksums(self, package: OsPackage) -> dict[str, str]:
            return {path: _md5(b"as another build has it") for path in self.files(package)[:2]}

    other = Other(place=database.place, store=database.store)
    assert [gap.subject for gap in _pack(other)[1]] == ["one", "two"]


def test_apts_answer_depends_on_its_lists_its_sources_and_what_is_installed(tmp_path: Path) -> None:
    names = ["etc/apt/sources.list.d/x.sources", "var/lib/apt/lists/main_Packages", "var/lib/dpkg/status"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert {str(tmp_path / name) for name in names} <= set(apt.depends(tmp_path))
