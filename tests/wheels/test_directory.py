"""Wheels that lie on this machine: find-links, and directories laid out as an index."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from envlock.core.digest import Digest
from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.lock.environment import DirectUrl, InstalledDistribution
from envlock.lock.model import Package
from envlock.wheels.configuration import Form, Index
from envlock.wheels.locate import Located, locate
from envlock.wheels.sidecar import keep
from tests.wheels.conftest import Environment, IndexSimulator, wheel

MADE = wheel("demo", "1.0+cpu", {"demo/__init__.py": b"x = 1\n"})
FindIn = Callable[..., Located]


@pytest.fixture
def find_in(store: Store, client: requests.Session) -> FindIn:
    def call(
        *indexes: Index, installed: InstalledDistribution, offline: bool = False, store: Store = store
    ) -> Located:
        return locate(
            (installed,), store=store, indexes=indexes, session=client, offline=offline, progress=Silent()
        )

    return call


@pytest.fixture
def installed(environment: Environment) -> InstalledDistribution:
    return environment.install(MADE)


def place(path: Path, form: Form) -> Index:
    return Index(name="find-links", url=path.as_uri(), is_default=False, form=form)


def only(located: Located) -> Package:
    (package,) = located.packages
    return package


def put(directory: Path, made: tuple[str, bytes] = MADE) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / made[0]).write_bytes(made[1])
    return directory / made[0]


@pytest.mark.parametrize("as_file", [True, False])
def test_a_wheel_in_a_directory_of_links_is_taken_as_it_is(
    installed: InstalledDistribution, find_in: FindIn, store: Store, tmp_path: Path, *, as_file: bool
) -> None:
    path = put(tmp_path / "ann" / "wheels")
    put(path.parent, wheel("demo", "2.0", {}))
    put(path.parent, wheel("other", "1.0+cpu", {}))
    located = find_in(place(path if as_file else path.parent, "links"), installed=installed, offline=True)
    package = only(located)
    assert (package.evidence, package.wheel.sha256) == ("hashed", Digest.of(MADE[1]))
    assert (package.wheel.url, package.wheel.path) == (None, f".envlock/wheels/{MADE[0]}")
    assert "ann" not in repr(located)
    keep(located.packages, store, tmp_path / "lock")
    assert (tmp_path / "lock" / str(package.wheel.path)).read_bytes() == MADE[1]


def test_a_wheel_that_was_taken_once_is_found_when_its_directory_is_gone(
    installed: InstalledDistribution, find_in: FindIn, store: Store, tmp_path: Path
) -> None:
    path = put(tmp_path / "wheels")
    index = place(path.parent, "links")
    first = find_in(index, installed=installed)
    path.unlink()
    path.parent.rmdir()
    assert find_in(index, installed=installed) == first
    store.path(Digest.of(MADE[1])).unlink()
    assert only(find_in(index, installed=installed)).evidence == "repacked"


@pytest.mark.parametrize("stated", ["right", "wrong", "none"])
def test_a_directory_laid_out_as_an_index_is_read_as_one(
    installed: InstalledDistribution, find_in: FindIn, tmp_path: Path, stated: str
) -> None:
    put(tmp_path / "files")
    page = tmp_path / "simple" / "demo" / "index.html"
    page.parent.mkdir(parents=True)
    hashes = {"right": "#sha256=" + hashlib.sha256(MADE[1]).hexdigest(), "wrong": "#sha256=" + "0" * 64}
    page.write_text(f'<a href="../../files/{MADE[0]}{hashes.get(stated, "")}">{MADE[0]}</a>')
    located = find_in(place(tmp_path / "simple", "simple"), installed=installed)
    expected = {"right": "matched", "wrong": "repacked", "none": "hashed"}
    assert only(located).evidence == expected[stated]
    assert ["another hash is stated" in one.reason for one in located.gaps] == [True] * (stated == "wrong")


def test_a_directory_without_pages_is_listed(
    installed: InstalledDistribution, find_in: FindIn, tmp_path: Path
) -> None:
    put(tmp_path / "simple" / "demo")
    assert only(find_in(place(tmp_path / "simple", "simple"), installed=installed)).evidence == "hashed"


def test_a_page_of_links_on_disk_names_files_and_servers(
    installed: InstalledDistribution, find_in: FindIn, tmp_path: Path, index: IndexSimulator
) -> None:
    page = tmp_path / "links.html"
    page.write_text(f'<html><a href="{index.add(MADE)}">{MADE[0]}</a>')
    assert only(find_in(place(page, "links"), installed=installed)).wheel.url == index.add(MADE)


def test_another_build_in_the_directory_is_not_taken(
    installed: InstalledDistribution, find_in: FindIn, tmp_path: Path
) -> None:
    path = put(tmp_path / "wheels", wheel("demo", "1.0+cpu", {"demo/__init__.py": b"other"}))
    located = find_in(place(path.parent, "links"), installed=installed)
    assert (only(located).evidence, located.gaps) == ("repacked", ())


def test_a_directory_that_is_not_there_says_nothing(
    installed: InstalledDistribution, find_in: FindIn, tmp_path: Path
) -> None:
    for form in ("links", "simple"):
        located = find_in(place(tmp_path / "ann", form), installed=installed)
        assert (only(located).evidence, located.gaps) == ("repacked", ())


def test_what_can_not_be_read_is_a_gap_without_its_directory(
    installed: InstalledDistribution, find_in: FindIn, tmp_path: Path
) -> None:
    directory = tmp_path / "ann"
    directory.mkdir()
    (directory / MADE[0]).symlink_to(MADE[0])
    located = find_in(place(directory, "links"), installed=installed)
    (gap,) = located.gaps
    assert "too many levels of symbolic links" in gap.reason
    assert "/ann" not in gap.reason
    page = tmp_path / "simple" / "demo" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_bytes(b"\x00")
    (gap,) = find_in(place(tmp_path / "simple", "simple"), installed=installed).gaps
    assert "no project page" in gap.reason
    assert str(tmp_path) not in gap.reason


def test_an_index_on_a_server_is_preferred_to_a_directory(
    installed: InstalledDistribution, find_in: FindIn, tmp_path: Path, index: IndexSimulator, store: Store
) -> None:
    url = index.add(MADE)
    links = place(put(tmp_path / "wheels").parent, "links")
    assert only(find_in(index.index(), links, installed=installed)).wheel.url == url
    index.faults["/simple/demo/"] = [500]
    other = Store(tmp_path / "other")
    located = find_in(index.index(), links, installed=installed, store=other)
    assert (only(located).index, located.gaps) == ("find-links", ())


def test_a_wheel_from_beside_a_lock_keeps_where_it_came_from(
    environment: Environment, find_in: FindIn, tmp_path: Path, direct_url: Callable[..., DirectUrl]
) -> None:
    kept = put(tmp_path / "lock" / ".envlock" / "wheels")
    sha256 = hashlib.sha256(MADE[1]).hexdigest()
    direct = direct_url(kept.as_uri(), sha256=sha256, local=kept)
    again = environment.install(MADE, direct_url=direct)
    links = place(put(tmp_path / "wheels").parent, "links")
    package = only(find_in(links, installed=again))
    assert (package.source, package.evidence, package.index) == ("index", "hashed", "find-links")
    # Other bytes of the same content are not the ones that were installed.
    other = replace(again, direct_url=direct_url(kept.as_uri(), sha256="0" * 64, local=kept))
    assert only(find_in(links, installed=other)).index is None
