"""A proxy before a registry that does wrong what a test asks for, and then goes on rightly."""

import http.client
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qs, urlsplit

_PART = 1 << 16
_SPEED = 8 << 20
"""Bytes in a second of a slow line."""
_STALL = 1.5
"""Seconds without an answer."""

Action = Literal[
    "status",
    "drop-request",
    "drop-middle",
    "drop-answer",
    "cut-answer",
    "garble",
    "lose-session",
    "slow",
    "stall",
]


@dataclass(slots=True, kw_only=True)
class Fault:
    """Done to the next ``times`` requests of ``method`` whose path has ``path`` in it."""

    method: str
    path: str
    action: Action
    status: int = 500
    headers: tuple[tuple[str, str], ...] = ()
    times: int = 1


@dataclass(slots=True, kw_only=True)
class Proxy:
    """What it is told, and what it saw: (method, path, bytes of the body)."""

    upstream: str
    host: str = ""
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str, int]] = field(default_factory=list)
    expiry: int = 0
    """After so many served requests all tokens that were issued run out; 0: no login is asked for."""
    issued: list[str] = field(default_factory=list)
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    """The queries that the token server was asked with."""
    logins: list[str | None] = field(default_factory=list)
    """The Authorization headers that the token server was asked with."""
    expired: int = 0
    """How many of the issued tokens have run out."""
    served: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def sent(self, method: str) -> int:
        """Bytes of all bodies of a method."""
        return sum(size for one, _, size in self.seen if one == method)

    def issue(self) -> str:
        with self.lock:
            self.issued.append(f"token-{len(self.issued)}")
            return self.issued[-1]

    def accepts(self, header: str | None) -> bool:
        with self.lock:
            if not self.expiry:
                return True
            good = header in {f"Bearer {token}" for token in self.issued[self.expired :]}
            self.served += good
            if good and self.served == self.expiry:
                self.expired = len(self.issued)
            return good


@contextmanager
def proxied(upstream: str) -> Iterator[Proxy]:
    """Run a proxy before ``upstream`` until the block ends."""
    proxy = Proxy(upstream=upstream)

    class Handler(_Handler):
        told = proxy

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    told: Proxy

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if self.path.startswith("/token"):
            self._give_token()
            return
        self.told.seen.append((self.command, self.path, size))
        if not self.told.accepts(self.headers.get("Authorization")):
            self.rfile.read(size)
            realm = f'Bearer realm="http://{self.told.host}/token",service="test",scope="repository:a:pull"'
            self._answer(401, [("WWW-Authenticate", realm)], b"")
            return
        fault = self.told.fault(self.command, self.path)
        if fault is None:
            self._answer(*self._forwarded(self.rfile.read(size)))
        else:
            self._do_wrong(fault, size)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815 (the names that http.server calls)

    def _do_wrong(self, fault: Fault, size: int) -> None:
        getattr(self, f"_{fault.action.replace('-', '_')}")(fault, size)

    def _status(self, fault: Fault, size: int) -> None:
        self.rfile.read(size)
        self._answer(fault.status, list(fault.headers), b'{"errors": [{"message": "made to fail"}]}')

    def _drop_request(self, _: Fault, size: int) -> None:
        self.rfile.read(size // 2)
        self._hang_up()

    def _drop_middle(self, _: Fault, size: int) -> None:
        self._forward_half(size)
        self._hang_up()

    def _drop_answer(self, _: Fault, size: int) -> None:
        self._forwarded(self.rfile.read(size))
        self._hang_up()

    def _cut_answer(self, _: Fault, size: int) -> None:
        status, headers, body = self._forwarded(self.rfile.read(size))
        self._answer(status, headers, body, of=len(body) // 2)
        self._hang_up()

    def _slow(self, _: Fault, size: int) -> None:
        self._answer(*self._forwarded(self._read_slowly(size)))

    def _stall(self, _: Fault, size: int) -> None:
        self.rfile.read(size)
        time.sleep(_STALL)
        self._hang_up()

    def _lose_session(self, _: Fault, size: int) -> None:
        """As if the registry had been started anew without what it was being sent."""
        self.rfile.read(size)
        self._answer(404, [], b"")

    def _garble(self, _: Fault, size: int) -> None:
        status, headers, body = self._forwarded(self.rfile.read(size))
        kept = [(name, value) for name, value in headers if name != "Docker-Content-Digest"]
        self._answer(status, kept, body[::-1])

    def _read_slowly(self, size: int) -> bytes:
        """Take a body no faster than _SPEED, so that the sender's buffers fill and it has to wait."""
        parts = []
        while size:
            parts.append(self.rfile.read(min(size, _PART)))
            size -= len(parts[-1])
            time.sleep(_PART / _SPEED)
        return b"".join(parts)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _forwarded(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.told.upstream, timeout=30)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if not (self.told.expiry and name == "Authorization"):
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        skipped = ("transfer-encoding", "content-length", "connection")
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in skipped]
        if self.command == "HEAD":
            kept.append(("Content-Length", answer.headers.get("Content-Length") or "0"))
        return answer.status, kept, data

    def _forward_half(self, size: int) -> None:
        """Hand on a request whose body ends in its middle, as when the line breaks."""
        host, _, port = self.told.upstream.partition(":")
        head = f"{self.command} {self.path} HTTP/1.1\r\n{self.headers}"
        with socket.create_connection((host, int(port))) as line:
            line.sendall(head.encode() + self.rfile.read(size // 2))
            line.shutdown(socket.SHUT_WR)
            line.recv(1)
        # The registry closes its file after it has hung up.
        time.sleep(0.1)

    def _give_token(self) -> None:
        self.told.asked.append(parse_qs(urlsplit(self.path).query))
        self.told.logins.append(self.headers.get("Authorization"))
        body = b'{"token": "%s"}' % self.told.issue().encode()
        self._answer(200, [("Content-Type", "application/json")], body)

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, of: int | None = None
    ) -> None:
        """Answer; ``of`` is how many bytes of the body are really sent."""
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD" and status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:of])
