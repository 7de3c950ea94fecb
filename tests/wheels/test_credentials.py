"""Logins: sent where they belong, asked for late, written nowhere."""

import base64
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keyring
import keyring.backend
import pytest
import requests
from keyring.credentials import Credential, SimpleCredential

from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.lock.environment import DirectUrl, InstalledDistribution
from envlock.runtime.errors import InputError
from envlock.wheels import credentials
from envlock.wheels.configuration import Configuration, Index, combined
from envlock.wheels.locate import Located, locate
from envlock.wheels.pip_settings import PipSettings
from envlock.wheels.uv_settings import UvSettings
from tests.wheels.conftest import Environment, IndexSimulator, wheel

SECRET = "s3cret-p@ss"
MADE = wheel("demo", "1.0", {"demo/__init__.py": b"x = 1\n"})


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def configured(*urls: str, provider: str = "disabled") -> Configuration:
    pip = PipSettings(index_url=urls[0], extra_index_urls=urls[1:], keyring_provider=provider)
    return combined(pip, UvSettings())


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine other.example login bob password b0b\n")
    monkeypatch.setenv("NETRC", str(path))


class KeyringSimulator(keyring.backend.KeyringBackend):
    """A keyring with one login, that counts its questions."""

    priority = 1

    def __init__(self, service: str = "", user: str = "ann", *, broken: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.service = service
        self.user = user
        self.broken = broken
        self.questions: list[tuple[str, str | None]] = []

    def get_password(self, service: str, username: str) -> str | None:
        return SECRET if (service, username) == (self.service, self.user) else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def get_credential(self, service: str, username: str | None) -> Credential | None:
        self.questions.append((service, username))
        if self.broken:
            raise RuntimeError("locked")
        if service != self.service or username not in (None, self.user):
            return None
        return SimpleCredential(self.user, SECRET)


@pytest.fixture
def chain() -> Iterator[KeyringSimulator]:
    before = keyring.get_keyring()
    simulator = KeyringSimulator()
    keyring.set_keyring(simulator)
    yield simulator
    keyring.set_keyring(before)


@pytest.fixture
def installed(environment: Environment) -> InstalledDistribution:
    return environment.install(MADE)


@pytest.fixture
def private(index: IndexSimulator) -> IndexSimulator:
    index.add(MADE)
    index.user = ("ann", SECRET)
    return index


def find(
    configuration: Configuration, installed: InstalledDistribution, store: Store, client: requests.Session
) -> Located:
    credentials.authorise(client, configuration)
    return locate(
        (installed,),
        store=store,
        indexes=configuration.indexes,
        session=client,
        offline=False,
        progress=Silent(),
    )


def evidence(located: Located) -> str:
    (package,) = located.packages
    return package.evidence


def authorization(client: requests.Session, url: str) -> str | None:
    return client.prepare_request(requests.Request("GET", url)).headers.get("Authorization")


def test_a_login_goes_to_its_own_host_only(netrc: None, client: requests.Session) -> None:
    credentials.authorise(client, configured("https://ann:p%40ss@index.example/simple"))
    assert authorization(client, "https://index.example/files/x.whl") == basic("ann", "p@ss")
    assert authorization(client, "https://else.example/x.whl") is None
    assert authorization(client, "http://index.example/files/x.whl") is None
    assert authorization(client, "https://other.example/x.whl") == basic("bob", "b0b")


def test_of_two_logins_for_one_host_the_nearer_counts(client: requests.Session) -> None:
    credentials.authorise(
        client, configured("https://a:1@index.example/one/simple", "https://b:2@index.example/two/simple")
    )
    assert authorization(client, "https://index.example/one/simple/demo/") == basic("a", "1")
    assert authorization(client, "https://index.example/two/files/x.whl") == basic("b", "2")


def test_a_login_does_not_follow_a_redirect_to_another_host(
    private: IndexSimulator, client: requests.Session
) -> None:
    credentials.authorise(client, configured(f"{private.url.replace('://', '://ann:pw@')}/simple/"))
    private.user = None
    private.redirects["/simple/demo/"] = f"{private.url.replace('127.0.0.1', 'localhost')}/elsewhere"
    client.get(f"{private.url}/simple/demo/")
    assert private.logins == [basic("ann", "pw"), None]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_wheel_of_a_url_that_was_read_with_a_login_says_so(
    private: IndexSimulator,
    installed: InstalledDistribution,
    store: Store,
    client: requests.Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    ranges: bool,
) -> None:
    private.ranges = ranges
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login ann password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    direct = DirectUrl(kind="archive", url=f"{private.url}/files/{MADE[0]}")
    located = find(configured(private.url), replace(installed, direct_url=direct), store, client)
    assert evidence(located) == "hashed"
    (gap,) = located.gaps
    assert (gap.subject, gap.harmless) == (installed.name, True)
    assert "login" in gap.reason


def test_wheels_that_were_read_with_a_login_say_so(
    private: IndexSimulator, installed: InstalledDistribution, store: Store, client: requests.Session
) -> None:
    located = find(configured(private.index().url.replace(SECRET, "s3cret-p%40ss")), installed, store, client)
    assert evidence(located) == "matched"
    (gap,) = located.gaps
    assert gap.harmless
    assert gap.subject.startswith("index 127.0.0.1")
    assert "login" in gap.reason


@pytest.mark.parametrize("service", ["index", "host"])
def test_keyring_is_asked_for_the_index_and_then_for_the_host(
    private: IndexSimulator,
    installed: InstalledDistribution,
    store: Store,
    client: requests.Session,
    chain: KeyringSimulator,
    service: str,
) -> None:
    url = f"{private.url}/simple/"
    chain.service = url if service == "index" else private.url.removeprefix("http://")
    assert evidence(find(configured(url, provider="auto"), installed, store, client)) == "matched"
    # One 401; its login serves what is asked after it.
    assert private.logins.count(None) == 1
    assert chain.questions[0] == (url, None)
    assert len(chain.questions) == (1 if service == "index" else 2)


def test_keyring_is_not_asked_where_nobody_wants_a_login(
    private: IndexSimulator,
    installed: InstalledDistribution,
    store: Store,
    client: requests.Session,
    chain: KeyringSimulator,
) -> None:
    private.user = None
    assert evidence(find(configured(f"{private.url}/simple/", provider="auto"), installed, store, client))
    assert chain.questions == []


@pytest.mark.parametrize("case", ["no login", "wrong login", "locked", "disabled"])
def test_without_a_login_the_index_is_told_with_the_ways_to_give_one(
    private: IndexSimulator,
    installed: InstalledDistribution,
    store: Store,
    client: requests.Session,
    chain: KeyringSimulator,
    case: str,
) -> None:
    chain.broken = case == "locked"
    if case == "wrong login":
        chain.service = f"{private.url}/simple/"
        private.user = ("ann", "changed")
    provider = "disabled" if case == "disabled" else "import"
    located = find(configured(f"{private.url}/simple/", provider=provider), installed, store, client)
    (gap,) = located.gaps
    assert f"{private.url}/simple/: found status 401 (Unauthorized)" in gap.reason
    assert "netrc or keyring" in gap.reason
    assert len(chain.questions) == (0 if case == "disabled" else len(chain.questions) or 1)
    assert SECRET not in repr(located)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (f'{{"username": "ann", "password": "{SECRET}"}}', "matched"),
        ('{"username": "ann"}', "repacked"),
        ("no JSON", "repacked"),
        (None, "repacked"),
    ],
)
def test_a_program_named_keyring_serves_where_it_is_chosen(
    private: IndexSimulator,
    installed: InstalledDistribution,
    store: Store,
    client: requests.Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str | None,
    expected: str,
) -> None:
    if answer is not None:
        program = tmp_path / "bin" / "keyring"
        program.parent.mkdir()
        program.write_text(
            f"#!{sys.executable}\nimport sys\n"
            "assert sys.argv[1:4] == ['--mode=creds', '--output=json', 'get']\n"
            f"assert sys.argv[4:] == ['{private.url}/simple/', 'ann']\n"
            f"print('''{answer}''')\n"
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep if answer is not None else None)
    url = f"{private.url.replace('://', '://ann@')}/simple/"
    located = find(configured(url, provider="subprocess"), installed, store, client)
    assert evidence(located) == expected


def test_a_session_for_the_configured_places_has_pip_s_ca_bundle(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    with credentials.session({}, Configuration(indexes=(), cert=str(bundle))) as made:
        assert made.verify == str(bundle)


def test_a_session_for_the_configured_places_has_the_users_certificate(tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    named = Configuration(indexes=(), client_cert=str(own))
    with pytest.raises(InputError, match="no such client certificate"):
        credentials.session({}, named)
    own.touch()
    with credentials.session({}, named) as made:
        assert made.cert == str(own)


def test_pip_s_proxy_beats_those_of_the_environment(
    index: IndexSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with credentials.session({}, Configuration(indexes=(), proxy=index.url)) as made:
        answer = made.get("http://elsewhere.example/simple/")
    # The simulator answers in the place of the host that does not exist.
    assert answer.status_code == 404


def test_no_password_of_a_proxy_is_told(installed: InstalledDistribution, store: Store) -> None:
    proxy = "http://ann:s3cret@127.0.0.1:1"
    places = Configuration(
        indexes=(Index(name="corp", url="http://corp.example/simple", is_default=False),), proxy=proxy
    )
    assert "s3cret" not in repr(places)
    with credentials.session({}, places, timeout=(1.0, 1.0)) as client:
        located = locate(
            (installed,),
            store=store,
            indexes=places.indexes,
            session=client,
            offline=False,
            progress=Silent(),
        )
    assert located.gaps
    assert "s3cret" not in repr(located)


def test_no_place_for_a_login_reaches_lock_facts_or_gaps(
    private: IndexSimulator, installed: InstalledDistribution, store: Store, client: requests.Session
) -> None:
    host = private.url.removeprefix("http://")
    broken = Index(
        name="broken",
        url=f"http://bob:{SECRET}@127.0.0.1:9/t/{SECRET}/simple?token={SECRET}",
        is_default=False,
    )
    good = Index(name="good", url=f"http://ann:s3cret-p%40ss@{host}/simple/", is_default=False)
    found = find(Configuration(indexes=(broken, good)), installed, store, client)
    lost = find(Configuration(indexes=(broken,)), installed, store, client)
    assert (evidence(found), evidence(lost)) == ("matched", "repacked")
    assert SECRET not in repr((found, lost))
    assert "http://127.0.0.1:9/t/-/simple/" in lost.gaps[0].reason
    kept = [one.read_bytes() for one in store.root.rglob("*.json")]
    assert kept
    assert not [one for one in kept if b"s3cret" in one]
