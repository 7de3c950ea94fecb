import http.server
import io
import threading
from collections.abc import Iterator

import pytest
import requests

from envlock.core.digest import Digest
from envlock.host import http as envlock_http
from envlock.host.store import HashingWriter
from envlock.runtime.errors import UnreachableError


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
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"bytes")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    _Handler.attempts = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
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


def test_the_ca_bundle_is_the_option_then_the_usual_variables() -> None:
    environ = {"SSL_CERT_FILE": "/ssl", "PIP_CERT": "/pip"}
    assert envlock_http.session(environ, "/chosen").verify == "/chosen"
    assert envlock_http.session(environ).verify == "/pip"
    assert envlock_http.session({"SSL_CERT_FILE": "/ssl"}).verify == "/ssl"
    assert envlock_http.session({}).verify is True


def test_a_certificate_that_is_not_known_is_told_with_the_way_out() -> None:
    told = envlock_http.reason(
        requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    )
    assert "--ca-bundle" in str(told[1])
    assert envlock_http.reason(requests.exceptions.SSLError("http://u:p@h/ broke")) == (
        "http://h/ broke",
        None,
    )
