"""``--verbose``: every request and program in a line, and nothing private among them."""

import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from envlock.cli.main import COMMANDS, cli

SCRIPT = """
import os, sys
from envlock.cli import trace
trace.begin()
from envlock.host import http, process
process.run(["true", "--token=hunter2", "first line\\nsecond line", sys.argv[2]])
session = http.session({})
session.auth = ("zaphod", "hunter2")
session.get(f"{sys.argv[1]}/t/tk-hunter2/9KvKhunter2xR9A0/simple/demo/?signature=hunter2")
"""


class _Found(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_requests_and_programs_are_told_without_secrets(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Found)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, url, str(tmp_path / "file")],
            env={"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        server.shutdown()
        server.server_close()
    assert done.stdout == ""
    program, _, request = done.stderr.splitlines()
    assert "true '--token=***' 'first line' ~/file: exit status 0 after" in program
    assert request.endswith(f'{url} "GET /t/-/-/simple/demo/ HTTP/1.1" 200 0')
    assert "hunter2" not in done.stderr
    assert str(tmp_path) not in done.stderr


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"cache", "completion", "seeds"}))
def test_every_command_that_does_long_work_has_it(name: str) -> None:
    shown = CliRunner().invoke(cli, [name, "--help"])
    assert "--verbose" in shown.output
    assert "--quiet" in shown.output
