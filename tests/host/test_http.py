import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from envlock.core.digest import Digest
from envlock.core.progress import Silent
from envlock.core.redaction import redacted
from envlock.host import http as envlock_http
from envlock.host.store import HashingWriter
from envlock.runtime.errors import InputError, UnreachableError


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


class _Handler(http.server.BaseHTTPRequestHandler):
    attempts = 0

    def do_GET(self) -> None:
        type(self).attempts += 1
        if self.path == "/flaky" and self.attempts < 3:
            self.send_error(503)
            return
        if self.path == "/gone":
            self.send_error(404)
            return
        if self.path == "/elsewhere":
            self.send_response(206)
            self.send_header("Content-Range", "bytes 7-11/20")
        else:
            self.send_response(200)
        self.send_header("Content-Length", "9" if self.path == "/broken" else "5")
        self.end_headers()
        self.wfile.write(b"bytes")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    _Handler.attempts = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def _download(url: str) -> tuple[bytes, HashingWriter, list[int]]:
    stream = io.BytesIO()
    writer = HashingWriter(stream)
    steps: list[int] = []
    with envlock_http.session({}) as client:
        envlock_http.download(client, url, writer, steps.append)
    return stream.getvalue(), writer, steps


def test_a_download_is_streamed_hashed_and_counted(server: str) -> None:
    content, writer, steps = _download(f"http://{server}/file")
    assert content == b"bytes"
    assert writer.digest == Digest.of(b"bytes")
    assert steps == [5]


def test_a_server_that_is_busy_is_asked_again(server: str) -> None:
    assert _download(f"http://{server}/flaky")[0] == b"bytes"
    assert _Handler.attempts == 3


def test_a_failure_names_the_url_without_its_credentials(server: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        _download(f"http://user:s3cret@{server}/gone")
    assert f"http://{server}/gone" in str(caught.value)
    assert "404" in str(caught.value)
    assert "s3cret" not in caught.value.render()


def test_the_ca_bundle_is_the_option_then_the_usual_variables(tmp_path: Path) -> None:
    chosen, pip, ssl = (str(tmp_path / name) for name in ("chosen", "pip", "ssl"))
    for path in (chosen, pip, ssl):
        Path(path).touch()
    environ = {"SSL_CERT_FILE": ssl, "PIP_CERT": pip}
    assert envlock_http.session(environ, chosen).verify == chosen
    assert envlock_http.session(environ).verify == pip
    assert envlock_http.session({"SSL_CERT_FILE": ssl}).verify == ssl
    assert envlock_http.session({}).verify is True
    with pytest.raises(InputError, match="no such CA bundle"):
        envlock_http.session({"PIP_CERT": str(tmp_path / "gone")})


def test_a_certificate_that_is_not_known_is_told_with_the_way_out() -> None:
    told = envlock_http.reason(
        requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    )
    assert "--ca-bundle" in str(told[1])


def _failure(url: str) -> str:
    with envlock_http.session({}, timeout=(0.5, 0.5)) as client:
        client.mount("http://", requests.adapters.HTTPAdapter())
        client.mount("https://", requests.adapters.HTTPAdapter())
        with pytest.raises(requests.RequestException) as caught:
            client.get(url).raise_for_status()
        return envlock_http.reason(caught.value)[0]


def test_what_failed_is_told_in_few_words_that_are_the_same_each_time(server: str) -> None:
    assert _failure("http://127.0.0.1:9/x?token=s3cret") == "connection refused"
    assert _failure("http://no-such-host.invalid/") == "no such host name"
    assert _failure(f"http://{server}/gone") == "status 404 (Not Found)"
    assert _failure(f"https://{server}/") == "TLS: wrong version number"
    assert envlock_http.reason(requests.ConnectionError("<object at 0x7f>"))[0] == "the connection broke"
    assert envlock_http.reason(requests.exceptions.InvalidURL("http://u:p@h/?t=1 is none")) == (
        "http://h/ is none",
        None,
    )
    assert envlock_http.status(499) == "status 499"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at http://ann:s3cret@h/x and http://h/y", "at http://h/x and http://h/y"),
        ("http://ann:p@ss/s3cret", "http://ss/s3cret"),
        ("http://ann:s3c@ret@h/x", "http://h/x"),
        ("'https://h/x?sig=s3cret#s3cret', then", "'https://h/x', then"),
        ("what? no #1 mail@x", "what? no #1 mail@x"),
    ],
)
def test_logins_and_signatures_are_taken_out_of_texts(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_a_download_that_always_breaks_is_given_up(server: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        _download(f"http://{server}/broken")
    assert caught.value.found == "the answer was cut short"
    assert _Handler.attempts == 5


def test_another_part_than_asked_for_is_refused(server: str) -> None:
    with pytest.raises(UnreachableError, match="cut short"):
        _download(f"http://{server}/elsewhere")


def test_a_pause_before_another_try_is_told(server: str) -> None:
    notes = Notes()
    with envlock_http.session({}, progress=notes) as client:
        assert client.get(f"http://user:s3cret@{server}/flaky").ok
        with pytest.raises(requests.ConnectionError):
            client.get("http://127.0.0.1:9/")
    # The first time a server is asked again at once.
    assert notes.lines == [
        "127.0.0.1: status 503 (Service Unavailable); asking again in 1 s",
        "127.0.0.1: connection refused; asking again in 1 s",
    ]
