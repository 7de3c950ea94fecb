"""Indexes as they are met: slow, busy, wrong, half configured. No fault of one loses the capture."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import requests

from envlock.core.digest import Digest
from envlock.core.progress import Silent
from envlock.host import http
from envlock.host.files import CHUNK
from envlock.host.store import Store
from envlock.lock.environment import InstalledDistribution
from envlock.wheels.configuration import Index
from envlock.wheels.locate import Located, locate
from tests.wheels.conftest import Environment, IndexSimulator, wheel

FILES = {"demo/__init__.py": b"x = 1\n", "demo/big.bin": bytes(range(256)) * 1024}
PAGE = "/simple/demo/"


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """What a capture asks with, but for its patience."""
    with http.session({}, timeout=(0.5, 0.5)) as made:
        yield made


Find = Callable[..., Located]


@pytest.fixture
def find(index: IndexSimulator, store: Store, session: requests.Session) -> Find:
    def call(*distributions: InstalledDistribution, indexes: tuple[Index, ...] = ()) -> Located:
        return locate(
            distributions,
            store=store,
            indexes=indexes or (index.index(),),
            session=session,
            offline=False,
            progress=Silent(),
        )

    return call


@pytest.fixture
def offered(index: IndexSimulator, environment: Environment) -> InstalledDistribution:
    """A distribution that is installed from a wheel of the index."""
    made = wheel("demo", "1.0", FILES)
    index.add(made)
    return environment.install(made)


def evidence(located: Located) -> str:
    (package,) = located.packages
    return package.evidence


def gap(located: Located) -> str:
    assert evidence(located) == "repacked"
    (found,) = located.gaps
    assert not found.harmless
    return found.reason


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_fault_that_passes_costs_a_retry(
    index: IndexSimulator, offered: InstalledDistribution, find: Find, status: int
) -> None:
    index.faults[PAGE] = [status, 0]
    index.faults[f"/files/{index.pages[PAGE][0]}"] = [status, 0]
    assert evidence(find(offered)) == "matched"


def test_a_pause_that_the_server_asks_for_is_kept(
    index: IndexSimulator, offered: InstalledDistribution, find: Find
) -> None:
    index.faults[PAGE] = [429, 0]
    index.headers[PAGE] = {"Retry-After": "1"}
    start = time.monotonic()
    assert evidence(find(offered)) == "matched"
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize("pause", ["3600", "tomorrow"])
def test_a_pause_that_nobody_waits_for_gives_the_index_up(
    index: IndexSimulator, offered: InstalledDistribution, find: Find, pause: str
) -> None:
    index.faults[PAGE] = [429, 0]
    index.headers[PAGE] = {"Retry-After": pause}
    start = time.monotonic()
    assert "status 429 (Too Many Requests)" in gap(find(offered))
    assert time.monotonic() - start < 5


def test_a_slow_index_is_not_waited_for(
    index: IndexSimulator, offered: InstalledDistribution, find: Find
) -> None:
    index.delays[PAGE] = 1.5
    assert gap(find(offered)).endswith("found no answer in time")


@pytest.mark.parametrize("what", ["page", "wheel"])
def test_an_index_that_sends_byte_by_byte_is_not_waited_for(
    index: IndexSimulator, offered: InstalledDistribution, find: Find, what: str
) -> None:
    wheel_path = f"/files/{index.pages[PAGE][0]}"
    index.drips[PAGE if what == "page" else wheel_path] = 0.05
    start = time.monotonic()
    told = gap(find(offered))
    assert told.endswith("found an answer slower than 100 bytes a second")
    assert f"{index.url}/simple/" in told if what == "page" else f"{index.url}{wheel_path}" in told
    assert time.monotonic() - start < 5


def test_a_page_that_is_cut_short_is_told(
    index: IndexSimulator, offered: InstalledDistribution, find: Find
) -> None:
    index.cuts[PAGE] = [20, 20, 20, 20, 20]
    assert "cut short" in gap(find(offered))


def test_a_range_that_is_cut_short_is_told(
    index: IndexSimulator, offered: InstalledDistribution, find: Find
) -> None:
    index.cuts[f"/files/{index.pages[PAGE][0]}"] = [20] * 5
    assert "cannot read the wheel" in gap(find(offered))


def test_a_download_that_breaks_off_goes_on_where_it_stopped(
    index: IndexSimulator, environment: Environment, find: Find
) -> None:
    noise = b"".join(hashlib.sha256(i.to_bytes(4, "big")).digest() for i in range(80_000))
    made = wheel("demo", "1.0", {"demo/noise.bin": noise})
    index.with_hashes = False
    index.add(made)
    path = f"/files/{made[0]}"
    # The first request reads RECORD; the download after it breaks twice.
    index.cuts[path] = [1 << 30, CHUNK + 100, 100]
    located = find(environment.install(made))
    assert evidence(located) == "hashed"
    assert located.packages[0].wheel.sha256 == Digest.of(made[1])
    assert [span for where, span in index.requests if where == path][1:] == [None, *([f"bytes={CHUNK}-"] * 2)]


def test_an_index_that_failed_three_times_is_asked_no_more(
    index: IndexSimulator, environment: Environment, find: Find
) -> None:
    installed = []
    for number in range(30):
        made = wheel(f"demo{number}", "1.0", {f"demo{number}.py": b""})
        installed.append(environment.install(made))
        index.faults[f"/simple/demo{number}/"] = [403]
    located = find(*installed)
    assert len(located.gaps) == 30
    assert len({one.reason for one in located.gaps}) == 1
    # Sixteen threads may have asked before the third answer came.
    assert len(index.requests) <= 3 + 16


def test_an_index_that_fails_for_one_package_serves_the_others(
    index: IndexSimulator, offered: InstalledDistribution, environment: Environment, find: Find
) -> None:
    other = wheel("other", "1.0", {"other.py": b""})
    index.add(other)
    index.raw[PAGE] = ("text/html", b"\x00\xff")
    located = find(offered, environment.install(other))
    assert {one.name: one.evidence for one in located.packages} == {"demo": "repacked", "other": "matched"}
    assert [one.subject for one in located.gaps] == ["demo"]


@pytest.mark.parametrize("first", [True, False])
def test_a_failing_index_is_no_gap_where_another_confirms_the_wheel(
    index: IndexSimulator, offered: InstalledDistribution, find: Find, store: Store, *, first: bool
) -> None:
    gone = Index(name="gone", url="http://127.0.0.1:9/simple/", is_default=False)
    indexes = (gone, index.index()) if first else (index.index(), gone)
    located = find(offered, indexes=indexes)
    assert (evidence(located), located.gaps) == ("matched", ())
    # What was found in spite of a fault is not remembered: the failing index may have the better answer.
    assert (store.root / "facts" / "matched").exists() != first


def test_a_redirect_is_followed_and_its_links_count_from_there(
    index: IndexSimulator, offered: InstalledDistribution, find: Find
) -> None:
    index.pages["/elsewhere/demo/"] = index.pages.pop(PAGE)
    index.redirects[PAGE] = "/elsewhere/demo/"
    assert evidence(find(offered)) == "matched"


def test_a_redirect_in_a_circle_is_told(
    index: IndexSimulator, offered: InstalledDistribution, find: Find
) -> None:
    index.redirects[PAGE] = PAGE
    assert "redirected without end" in gap(find(offered))


@pytest.mark.parametrize(
    "body",
    [
        b'<html><a href="file:///etc/{name}">{name}</a>',
        b'<html><a href="ftp://index.example/{name}">{name}</a>',
        b'<html><a href="mailto:x">{name}</a>',
        b"<html>",
    ],
)
def test_a_page_s_links_to_anything_but_servers_are_passed_over(
    index: IndexSimulator, offered: InstalledDistribution, find: Find, body: bytes
) -> None:
    index.raw[PAGE] = ("text/html", body.replace(b"{name}", index.pages[PAGE][0].encode()))
    located = find(offered)
    assert (evidence(located), located.gaps) == ("repacked", ())


def test_a_yanked_wheel_is_still_the_installed_one(
    index: IndexSimulator, offered: InstalledDistribution, find: Find
) -> None:
    name = index.pages[PAGE][0]
    sha256 = Digest.of(index.files[f"/files/{name}"]).hex
    link = f'<html><a data-yanked="broken" href="/files/{name}#sha256={sha256}">{name}</a>'
    index.raw[PAGE] = ("text/html", link.encode())
    assert evidence(find(offered)) == "matched"


def test_metadata_that_the_index_serves_apart_tells_candidates_apart(
    index: IndexSimulator, offered: InstalledDistribution, find: Find
) -> None:
    name = index.pages[PAGE][0]
    stated = "0" * 64
    link = f'<html><a data-core-metadata="sha256={stated}" href="/files/{name}">{name}</a>'
    index.raw[PAGE] = ("text/html", link.encode())
    assert evidence(find(offered)) == "repacked"
    assert not [path for path, _ in index.requests if path.startswith("/files/")]


def test_a_signed_url_is_used_and_not_written(
    index: IndexSimulator, offered: InstalledDistribution, find: Find, store: Store
) -> None:
    name = index.pages[PAGE][0]
    data = index.files.pop(f"/files/{name}")
    index.files[f"/files/{name}?X-Signature=s3cret"] = data
    link = f'<html><a href="/files/{name}?X-Signature=s3cret#sha256={Digest.of(data).hex}">{name}</a>'
    index.raw[PAGE] = ("text/html", link.encode())
    located = find(offered)
    (package,) = located.packages
    assert package.evidence == "matched"
    # Without its signature the URL leads nowhere, so the wheel travels beside the lock.
    assert (package.wheel.url, package.wheel.path) == (None, f".envlock/wheels/{name}")
    assert store.find(Digest.of(data)) is not None
    assert "s3cret" not in repr(located)
    assert not [one for one in store.root.rglob("*.json") if b"s3cret" in one.read_bytes()]
    index.requests.clear()
    assert find(offered) == located
    assert index.requests == []
    store.path(Digest.of(data)).unlink()
    assert find(offered) == located


def test_an_old_server_that_closes_each_connection_is_understood(
    index: IndexSimulator, offered: InstalledDistribution, find: Find
) -> None:
    index.protocol = "HTTP/1.0"
    assert evidence(find(offered)) == "matched"


def test_without_ranges_each_candidate_is_downloaded_once(
    index: IndexSimulator, offered: InstalledDistribution, find: Find
) -> None:
    index.ranges = False
    assert evidence(find(offered)) == "matched"
    asked = [span for path, span in index.requests if path.startswith("/files/")]
    # One question for the end, answered with the whole file, and one download.
    assert len(asked) == 2


def test_a_page_of_links_is_read_once_for_all_packages(
    index: IndexSimulator, environment: Environment, find: Find
) -> None:
    made = [wheel(name, "1.0+cpu", {f"{name}.py": b""}) for name in ("one", "two", "three")]
    for one in made:
        index.add(one)
    for name, data in made:
        index.files[f"/files/{name.replace('+', '%2B')}"] = data
    links = "".join(f'<a href="/files/{name.replace("+", "%2B")}">{name}</a>' for name, _ in made)
    index.raw["/wheels.html"] = ("text/html", links.encode())
    page = replace(index.index("page"), url=f"{index.url}/wheels.html", form="links")
    installed = [environment.install(one) for one in made]
    first, rest = find(installed[0], indexes=(page,)), find(*installed, indexes=(page,))
    assert [one.evidence for one in (*first.packages, *rest.packages)] == ["hashed"] * 4
    assert {one.index for one in rest.packages} == {"page"}
    assert all(one.wheel.url and "%2B" in one.wheel.url for one in rest.packages)
