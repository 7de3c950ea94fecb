"""TLS of envlock's sessions: one context for all connections, and what it trusts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from urllib3.util import Retry

from envlock.host import http
from envlock.host.tls import SharingAdapter
from tests.host.certificates import certificate, serving


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return certificate(tmp_path)


@pytest.fixture
def server(own: Path) -> Iterator[str]:
    with serving(own) as port:
        yield f"https://127.0.0.1:{port}/"


def impatient(client: requests.Session) -> requests.Session:
    """Return the session with one try for each request."""
    adapter = client.get_adapter("https://")
    assert isinstance(adapter, SharingAdapter)
    adapter.max_retries = Retry(0, read=False)
    return client


def test_a_bundle_is_read_once_for_all_connections(own: Path, server: str) -> None:
    with http.session({}, str(own)) as client:
        assert client.get(server).text == "ok"
        own.unlink()
        # The server closes each connection, so this is another.
        assert client.get(server).text == "ok"


def test_a_directory_of_certificates_serves_as_a_bundle(tmp_path: Path, server: str) -> None:
    empty = tmp_path / "hashed"
    empty.mkdir()
    with http.session({}, str(empty)) as client, pytest.raises(requests.exceptions.SSLError):
        impatient(client).get(server)


def test_the_option_beats_the_variables(
    own: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate(other)))
    with http.session({}, str(own)) as client:
        assert client.get(server).text == "ok"


def test_a_bundle_without_certificates_is_told(tmp_path: Path, server: str) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    with (
        http.session({}, str(empty)) as client,
        pytest.raises(requests.exceptions.SSLError) as caught,
    ):
        client.get(server)
    assert http.reason(caught.value)[0] == "TLS: no certificate or crl found"


def test_a_client_shows_its_certificate(own: Path, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.mkdir()
    with serving(own, certificate(users)) as port, http.session({}, str(own)) as client:
        with pytest.raises(requests.RequestException):
            impatient(client).get(f"https://127.0.0.1:{port}/")
        client.cert = str(users / "certificate.pem")
        assert client.get(f"https://127.0.0.1:{port}/").text == "ok"
        client.cert = (str(users / "certificate.pem"), str(users / "certificate.pem"))
        assert client.get(f"https://127.0.0.1:{port}/").text == "ok"


def test_nobody_is_asked_for_the_password_of_a_key(own: Path, server: str, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.mkdir()
    with http.session({}, str(own)) as client:
        client.cert = str(certificate(users, b"s3cret"))
        with pytest.raises(requests.exceptions.SSLError):
            client.get(server)


def test_a_proxy_is_checked_with_the_same_bundle(own: Path, server: str) -> None:
    with http.session({}, str(own)) as client:
        client.proxies = {"http": server}
        # The server answers in the place of a host that does not exist.
        assert client.get("http://elsewhere.example/").text == "ok"


def test_the_environment_is_asked_for_proxies_once_for_each_host(
    server: str, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.session({}, str(own), timeout=(1.0, 1.0)) as client:
        assert client.get(server).text == "ok"
        with pytest.raises(requests.exceptions.ProxyError):
            client.get("https://elsewhere.example/")
