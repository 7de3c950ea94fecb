"""Answers that drip: given up by their rate, told as what they are; slow ones and slow readers are not."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
import requests

from envlock.host import http
from envlock.host.pace import LEAST_RATE

SPAN = 0.4
"""Seconds of the sessions' time limit between two pieces."""
SLOW = "an answer slower than 100 bytes a second"
HEADERS = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
Piece = tuple[float, bytes]
"""Seconds to wait, and what to send then."""


def drip(data: bytes) -> list[Piece]:
    """Send at half the least rate."""
    return [(2 / LEAST_RATE, bytes((byte,))) for byte in data]


@pytest.fixture
def serve() -> Iterator[Callable[[Sequence[Piece]], str]]:
    """Start a server that answers each connection with the pieces; gives its address."""
    with contextlib.ExitStack() as stack:

        def start(pieces: Sequence[Piece]) -> str:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            # A closed socket wakes nobody who waits on it; one that is shut down does.
            stack.callback(listening.shutdown, socket.SHUT_RDWR)
            threading.Thread(target=_answer_all, args=(listening, pieces), daemon=True).start()
            return f"127.0.0.1:{listening.getsockname()[1]}"

        yield start


def _answer_all(listening: socket.socket, pieces: Sequence[Piece]) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(1 << 16)
                for pause, piece in pieces:
                    time.sleep(pause)
                    connection.sendall(piece)


def get(url: str) -> bytes:
    with http.session({}, timeout=(SPAN, SPAN)) as client:
        content: bytes = client.get(url).content
        return content


def failure(url: str) -> str:
    begun = time.monotonic()
    with pytest.raises(requests.RequestException) as caught:
        get(url)
    # The whole answer would take ten seconds.
    assert time.monotonic() - begun < 5
    return http.reason(caught.value)[0]


Serve = Callable[[Sequence[Piece]], str]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(drip(HEADERS * 10), id="headers"),
        pytest.param([(0, HEADERS), *drip(b"x" * 500)], id="body"),
        pytest.param(
            [(0, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), *drip(b"1\r\nx\r\n" * 100)],
            id="chunks",
        ),
    ],
)
def test_an_answer_that_drips_is_given_up(serve: Serve, pieces: Sequence[Piece]) -> None:
    assert failure(f"http://{serve(pieces)}/") == SLOW


def test_a_proxy_that_drips_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    proxy = f"http://{serve([(0, HEADERS), *drip(b'x' * 500)])}"
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, proxy)
    assert failure("http://index.invalid/") == SLOW


def test_an_answer_with_silences_within_the_limit_is_read_to_its_end(serve: Serve) -> None:
    thinking = SPAN * 0.75
    pieces = [(thinking, HEADERS), (thinking, b"x" * 250), (thinking, b"x" * 249), (thinking, b"x")]
    assert get(f"http://{serve(pieces)}/") == b"x" * 500


def test_a_reader_who_takes_its_time_meets_no_slow_server(serve: Serve) -> None:
    with http.session({}, timeout=(SPAN, SPAN)) as client:
        answer = client.get(f"http://{serve([(0, HEADERS), (0.1, b'x' * 500)])}/", stream=True)
        time.sleep(SPAN * 2)
        assert answer.content == b"x" * 500
