from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from envlock.host import http
from envlock.host.trusting import trust
from tests.host.certificates import certificate, serving


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with serving(certificate(tmp_path)) as found:
        yield found


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:{port}"])
def test_a_trusted_host_is_believed_and_no_other(port: int, host: str) -> None:
    with http.session({}) as client:
        trust(client, [host.format(port=port)])
        assert client.get(f"https://127.0.0.1:{port}/").text == "ok"
        with pytest.raises(requests.exceptions.SSLError):
            client.get(f"https://localhost:{port}/")


def test_a_trusted_port_is_not_the_whole_host(port: int) -> None:
    with http.session({}) as client:
        trust(client, [f"127.0.0.1:{port + 1}"])
        with pytest.raises(requests.exceptions.SSLError):
            client.get(f"https://127.0.0.1:{port}/")


def test_an_address_of_ipv6_may_stand_without_brackets() -> None:
    with http.session({}) as client:
        plain = client.get_adapter("https://other.example/")
        trust(client, ["::1"])
        assert client.get_adapter("https://[::1]:8080/simple/") is not plain
        assert client.get_adapter("https://other.example/") is plain
