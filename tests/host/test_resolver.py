"""Names are looked up once for all connections, and each address of a name is tried."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from envlock.host import http, resolver
from envlock.host.resolver import LIFETIME, Addresses, Resolver

THREADS = 16
NOWHERE = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


class NameServer:
    """Gives the answers in turn, the last for ever; an error is raised. Counts the questions."""

    def __init__(self, *answers: Addresses | Exception, pause: threading.Event | None = None) -> None:
        self.asked: list[tuple[str, int]] = []
        self._answers = list(answers)
        self._pause = pause

    def __call__(self, host: str, port: int) -> Addresses:
        self.asked.append((host, port))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if self._pause is not None:
            self._pause.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize("answer", [("192.0.2.1",), NOWHERE], ids=["found", "not found"])
def test_threads_that_ask_at_once_share_a_question(answer: Addresses | Exception) -> None:
    answered = threading.Event()
    server = NameServer(answer, pause=answered)
    names = Resolver(server)
    begun = threading.Barrier(THREADS + 1)

    def ask() -> Addresses | Exception:
        begun.wait()
        try:
            return names.addresses("index.example", 443)
        except socket.gaierror as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        answers = [pool.submit(ask) for _ in range(THREADS)]
        begun.wait()
        # All others wait for the first by now, or will find what it found.
        answered.set()
        assert {one.result() for one in answers} == {answer}
    assert len(server.asked) == 1 or isinstance(answer, Exception)


def test_an_answer_is_asked_for_again_when_it_is_old() -> None:
    now = 1000.0
    server = NameServer(("192.0.2.1",), ("192.0.2.2",))
    names = Resolver(server, clock=lambda: now)
    assert names.addresses("index.example", 443) == ("192.0.2.1",)
    now += LIFETIME - 1
    assert names.addresses("index.example", 443) == ("192.0.2.1",)
    now += 1
    assert names.addresses("index.example", 443) == ("192.0.2.2",)
    assert len(server.asked) == 2


def test_a_failed_question_is_put_anew() -> None:
    names = Resolver(NameServer(NOWHERE, ("192.0.2.1",)))
    with pytest.raises(socket.gaierror):
        names.addresses("index.example", 443)
    assert names.addresses("index.example", 443) == ("192.0.2.1",)


def test_a_name_apart_from_others() -> None:
    server = NameServer(("192.0.2.1",), ("192.0.2.2",))
    names = Resolver(server)
    assert names.addresses("index.example", 443) != names.addresses("other.example", 443)


def test_the_system_knows_this_machine() -> None:
    assert resolver.system("127.0.0.1", 80) == ("127.0.0.1",)
    assert set(resolver.system("localhost", 80)) <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..example"])
def test_what_is_no_name_is_not_found(name: str) -> None:
    with pytest.raises(socket.gaierror) as caught:
        resolver.system(name, 80)
    assert caught.value.errno == socket.EAI_NONAME


class _Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.headers["Host"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """Yield the port of a server at 127.0.0.1, and at no other of this machine's addresses."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def get(monkeypatch: pytest.MonkeyPatch, url: str, found: Addresses | Exception) -> str:
    monkeypatch.setattr(resolver, "_RESOLVER", Resolver(NameServer(found)))
    with http.session({"no_proxy": "*"}) as client:
        return client.get(url).text


def test_the_next_address_is_tried_under_the_same_name(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    place = f"index.example:{port}"
    assert get(monkeypatch, f"http://{place}/", ("127.0.0.2", "127.0.0.1")) == place


@pytest.mark.parametrize(
    ("found", "told"),
    [
        pytest.param(NOWHERE, "no such host name", id="unknown"),
        pytest.param(("127.0.0.2", "127.0.0.3"), "connection refused", id="refused by all"),
    ],
)
def test_what_is_told(
    monkeypatch: pytest.MonkeyPatch, port: int, found: Addresses | Exception, told: str
) -> None:
    # Nobody waits for the tries that come after a failed one.
    monkeypatch.setattr("urllib3.util.Retry.sleep", lambda *_: None)
    with pytest.raises(requests.ConnectionError) as caught:
        get(monkeypatch, f"http://index.example:{port}/", found)
    assert http.reason(caught.value) == (told, None)
