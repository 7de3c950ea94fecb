"""A registry in memory that does all of the OCI distribution-spec 1.1 that Debian's docker-registry does not.

It lists referrers itself (``OCI-Subject``, ``GET referrers/<digest>``), and keeps what arrived of a piece
whose connection broke. There is no login, no tag list and no deletion.
"""

import hashlib
import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs/uploads|blobs|referrers)/(?P<item>.*)")
_PIECE = 1 << 16
_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(slots=True, kw_only=True)
class Simulator:
    """What was stored: blobs by digest; manifests, with their media type, by digest and by tag."""

    host: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)

    def referrers(self, subject: str) -> list[dict[str, Any]]:
        """Descriptors of the manifests about ``subject``."""
        found = []
        for digest, (data, kind) in self.manifests.items():
            manifest = json.loads(data)
            if digest.startswith("sha256:") and manifest.get("subject", {}).get("digest") == subject:
                one = {"digest": digest, "size": len(data), "mediaType": kind}
                found.append(one | {"artifactType": manifest.get("artifactType")})
        return found


@contextmanager
def simulated() -> Iterator[Simulator]:
    """Run the simulator on loopback until the block ends."""
    simulator = Simulator()

    class Handler(_Handler):
        told = simulator

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    simulator.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield simulator
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    told: Simulator

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        url = urlsplit(self.path)
        matched = _PATH.fullmatch(url.path)
        if matched is None:
            self._answer(200 if url.path == "/v2/" else 404)
            return
        kind = matched["kind"].replace("blobs/uploads", "uploads")
        getattr(self, f"_{kind}")(matched["item"], parse_qs(url.query))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815 (the names that http.server calls)

    def _blobs(self, digest: str, _: dict[str, list[str]]) -> None:
        data = self.told.blobs.get(digest)
        self._answer(404) if data is None else self._answer(200, data)

    def _uploads(self, session: str, query: dict[str, list[str]]) -> None:
        if self.command == "POST":
            session = uuid.uuid4().hex
            self.told.uploads[session] = bytearray()
        kept = self.told.uploads.get(session)
        if kept is None:
            self._answer(404)
            return
        first = self.headers.get("Content-Range", f"{len(kept)}-").partition("-")[0]
        if int(first) != len(kept):
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(416, headers=self._progress(session, kept))
            return
        self._receive(kept)
        if self.command == "PUT":
            self._close(bytes(kept), query["digest"][0])
            return
        self._answer(204 if self.command == "GET" else 202, headers=self._progress(session, kept))

    def _progress(self, session: str, kept: bytearray) -> dict[str, str]:
        name = urlsplit(self.path).path.rpartition("/")[0]
        return {"Location": f"{name}/{session}", "Range": f"0-{max(len(kept) - 1, 0)}"}

    def _receive(self, kept: bytearray) -> None:
        left = int(self.headers.get("Content-Length") or 0)
        while left and (piece := self.rfile.read1(min(left, _PIECE))):
            kept += piece
            left -= len(piece)

    def _close(self, data: bytes, digest: str) -> None:
        if _digest(data) != digest:
            self._answer(400)
            return
        self.told.blobs[digest] = data
        self._answer(201)

    def _manifests(self, reference: str, _: dict[str, list[str]]) -> None:
        if self.command == "PUT":
            data = self.rfile.read(int(self.headers["Content-Length"]))
            stored = (data, self.headers["Content-Type"])
            self.told.manifests |= {reference: stored, _digest(data): stored}
            subject = json.loads(data).get("subject", {}).get("digest")
            self._answer(201, headers={"OCI-Subject": subject} if subject else {})
            return
        found = self.told.manifests.get(reference)
        self._answer(404) if found is None else self._answer(200, found[0], {"Content-Type": found[1]})

    def _referrers(self, digest: str, _: dict[str, list[str]]) -> None:
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": self.told.referrers(digest)}
        self._answer(200, json.dumps(index).encode(), {"Content-Type": _INDEX})

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
