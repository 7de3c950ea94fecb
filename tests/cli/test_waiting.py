"""An index that asks for patience: the capture tells what it waits for."""

import threading
import venv
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from envlock.cli import main
from tests.cli.test_check import put_distribution


class _Busy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        fresh = self.path not in self.server.asked  # type: ignore[attr-defined]
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(429 if fresh else 404)
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    """An index that has nothing, and says so at the second question."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Busy) as server:
        server.asked = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple/"
        server.shutdown()
        thread.join()


def test_a_capture_tells_that_an_index_is_asked_again(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENVLOCK_CACHE", str(tmp_path / "store"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("PIP_INDEX_URL", index)
    prefix, output = tmp_path / "venv", tmp_path / "pylock.toml"
    venv.create(prefix, symlinks=True)
    put_distribution(prefix, "1.0")
    argv = ["capture", "--python", str(prefix / "bin/python"), "--project", str(prefix), "-o", str(output)]
    assert main._status(argv) == 0
    told = capsys.readouterr().err.splitlines()
    line = "127.0.0.1: status 429 (Too Many Requests); asking again in 1 s"
    assert told.count(line) == 1
