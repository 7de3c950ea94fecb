"""Wheels made here, environments installed from them, and an index on loopback."""

import base64
import hashlib
import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile

from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.lock.environment import DirectUrl, InstalledDistribution, RecordEntry
from envlock.wheels import record
from envlock.wheels.configuration import Configuration, Index
from envlock.wheels.credentials import authorise
from envlock.wheels.locate import Located, locate


def wheel(
    name: str,
    version: str,
    files: Mapping[str, bytes],
    *,
    tag: str = "py3-none-any",
    stated: str | None = None,
    entry_points: str | None = None,
    requires: tuple[str, ...] = (),
) -> tuple[str, bytes]:
    """Return (file name, bytes) of a wheel; ``stated`` is WHEEL's tag where it is not the name's."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Dist: {one}" for one in requires]
    everything = dict(files)
    everything[f"{info}/METADATA"] = ("\n".join(metadata) + "\n").encode()
    purelib = "true" if tag.endswith("any") else "false"
    everything[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: {purelib}\nTag: {stated or tag}\n".encode()
    )
    if entry_points is not None:
        everything[f"{info}/entry_points.txt"] = entry_points.encode()
    rows = [f"{path},sha256={record_hash(data)},{len(data)}\n" for path, data in everything.items()]
    everything[f"{info}/RECORD"] = ("".join(rows) + f"{info}/RECORD,,\n").encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in everything.items():
            archive.writestr(path, data)
    return f"{name.replace('-', '_')}-{version}-{tag}.whl", packed.getvalue()


def record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@dataclass(frozen=True)
class Environment:
    """A prefix that wheels are installed into, by the library ``installer``."""

    prefix: Path

    @property
    def site(self) -> Path:
        return self.prefix / "lib" / "python3.11" / "site-packages"

    def install(self, made: tuple[str, bytes], **changes: object) -> InstalledDistribution:
        """Install a wheel and return what a capture would say of it."""
        name, data = made
        self.prefix.mkdir(parents=True, exist_ok=True)
        path = self.prefix / name
        path.write_bytes(data)
        destination = SchemeDictionaryDestination(
            {
                "purelib": str(self.site),
                "platlib": str(self.site),
                "scripts": str(self.prefix / "bin"),
                "headers": str(self.prefix / "include" / "site" / "python3.11" / name.split("-")[0]),
                "data": str(self.prefix),
            },
            interpreter=str(self.prefix / "bin" / "python3"),
            script_kind="posix",
            bytecode_optimization_levels=(0,),
        )
        with WheelFile.open(path) as source:
            install(source, destination, {"INSTALLER": b"test\n", "REQUESTED": b""})
        path.unlink()
        distribution = describe(self.site, "-".join(name.split("-")[:2]))
        return _changed(distribution, changes)


def _changed(distribution: InstalledDistribution, changes: Mapping[str, object]) -> InstalledDistribution:
    fields = {name: getattr(distribution, name) for name in InstalledDistribution.__dataclass_fields__}
    return InstalledDistribution(**{**fields, **changes})


def describe(site: Path, stem: str) -> InstalledDistribution:
    """Return the facts of an installed distribution, as the capture reads them."""
    info = next(
        one
        for one in site.iterdir()
        if one.name.lower().replace("-", "_").replace(".dist_info", "") == stem.lower().replace("-", "_")
    )
    metadata = (info / "METADATA").read_text().splitlines()
    lines = (info / "WHEEL").read_text().splitlines() if (info / "WHEEL").exists() else []
    entries = record.parse((info / "RECORD").read_bytes())
    raw_name = metadata[1].removeprefix("Name: ")
    return InstalledDistribution(
        name=raw_name.lower().replace("_", "-"),
        raw_name=raw_name,
        version=metadata[2].removeprefix("Version: "),
        site=site,
        dist_info=info.name,
        tags=tuple(sorted(one.removeprefix("Tag: ") for one in lines if one.startswith("Tag: "))),
        build=None,
        root_is_purelib="Root-Is-Purelib: true" in lines,
        record=entries,
        requires_python=None,
        installer="test",
        direct_url=None,
        modified=modified(site, entries),
        requires=tuple(
            one.removeprefix("Requires-Dist: ") for one in metadata if one.startswith("Requires-Dist: ")
        ),
    )


def modified(site: Path, entries: tuple[RecordEntry, ...]) -> tuple[str, ...]:
    return tuple(
        one.path
        for one in entries
        if one.sha256 is not None
        and (not (site / one.path).is_file() or record_hash((site / one.path).read_bytes()) != one.sha256)
    )


@dataclass
class IndexSimulator:
    """A package index: JSON or HTML project pages, files with or without range requests, and faults."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    pages: dict[str, list[str]] = field(default_factory=dict)
    ranges: bool = True
    as_html: bool = False
    with_hashes: bool = True
    wrong_hash: bool = False
    wrong_ranges: bool = False
    faults: dict[str, list[int]] = field(default_factory=dict)
    """Path -> status codes to answer with, one a request; the last one stays. 0 is the real answer."""
    raw: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Path -> (content type, body) to answer with instead."""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """(path, Range header) of every request."""
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    """Path -> headers that its faults bear."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Path -> URL to go to."""
    delays: dict[str, float] = field(default_factory=dict)
    """Path -> seconds to wait before the answer."""
    drips: dict[str, float] = field(default_factory=dict)
    """Path -> seconds between the bytes of the answer's body."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """Path -> bytes after which the connection breaks, one a request, before whole answers."""
    logins: list[str | None] = field(default_factory=list)
    """Authorization header of every request."""
    protocol: str = "HTTP/1.1"
    sent: int = 0
    user: tuple[str, str] | None = None
    """Ask for this user and password."""

    def add(self, made: tuple[str, bytes]) -> str:
        """Offer a wheel and return its URL."""
        name, data = made
        project = name.split("-")[0].replace("_", "-").lower()
        self.files[f"/files/{name}"] = data
        self.pages.setdefault(f"/simple/{project}/", []).append(name)
        return f"{self.url}/files/{name}"

    def index(self, name: str = "test") -> Index:
        """Return the index as a configuration gives it."""
        url = f"{self.url}/simple/"
        if self.user is not None:
            url = url.replace("://", f"://{self.user[0]}:{self.user[1]}@")
        return Index(name=name, url=url, is_default=False)

    def page(self, path: str) -> tuple[str, bytes]:
        """Return (content type, body) of a project page."""
        entries = [(name, self.files[f"/files/{name}"]) for name in self.pages[path]]
        hashes = {name: self._hash(data) for name, data in entries if self.with_hashes}
        if self.as_html:
            fragment = {name: f"#sha256={value}" for name, value in hashes.items()}
            links = (
                f'<a href="/files/{name}{fragment.get(name, "")}">{name}</a><br/>' for name, _ in entries
            )
            return "text/html", ("<!DOCTYPE html><html><body>\n" + "\n".join(links)).encode()
        files = [
            {
                "filename": name,
                "url": f"/files/{name}",
                "hashes": {"sha256": hashes[name]} if name in hashes else {},
                "size": len(data),
            }
            for name, data in entries
        ]
        body = {"meta": {"api-version": "1.1"}, "name": "x", "versions": [], "files": files}
        return "application/vnd.pypi.simple.v1+json", json.dumps(body).encode()

    def _hash(self, data: bytes) -> str:
        return "0" * 64 if self.wrong_hash else hashlib.sha256(data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        index: IndexSimulator = self.server.index  # type: ignore[attr-defined]
        index.requests.append((self.path, self.headers.get("Range")))
        index.logins.append(self.headers.get("Authorization"))
        self.protocol_version = index.protocol
        time.sleep(index.delays.get(self.path, 0))
        if not self._refused(index):
            self._served(index)

    def _refused(self, index: IndexSimulator) -> bool:
        """Answer otherwise than with what is there, where that is asked for."""
        if self.path in index.redirects:
            self._answer(302, "text/plain", b"", {"Location": index.redirects[self.path]})
            return True
        if index.user is not None and self.headers.get("Authorization") != _basic(index.user):
            self._answer(401, "text/plain", b"who are you?")
            return True
        faults = index.faults.get(self.path) or [0]
        status = faults.pop(0) if len(faults) > 1 else faults[0]
        if status:
            self._answer(status, "text/plain", b"a fault", index.headers.get(self.path))
        return bool(status)

    def _served(self, index: IndexSimulator) -> None:
        if self.path in index.raw:
            self._answer(200, *index.raw[self.path])
        elif self.path in index.files:
            self._file(index, index.files[self.path])
        elif self.path in index.pages:
            self._answer(200, *index.page(self.path))
        else:
            self._answer(404, "text/plain", b"nothing here")

    def _file(self, index: IndexSimulator, data: bytes) -> None:
        wanted = self.headers.get("Range")
        if wanted is None or not index.ranges:
            return self._answer(200, "application/octet-stream", data)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(data) - int(last))
        end = min(int(last), len(data) - 1) if first and last else len(data) - 1
        index.sent += end - start + 1
        span = f"bytes {start}-{end + index.wrong_ranges}/{len(data)}"
        return self._answer(206, "application/octet-stream", data[start : end + 1], {"Content-Range": span})

    def _answer(self, status: int, kind: str, body: bytes, more: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        index: IndexSimulator = self.server.index  # type: ignore[attr-defined]
        cuts = index.cuts.get(self.path)
        self._sent(body[: cuts.pop(0)] if cuts else body, index.drips.get(self.path))
        self.close_connection |= bool(cuts is not None)

    def _sent(self, body: bytes, pause: float | None) -> None:
        for piece in (body,) if pause is None else (bytes((one,)) for one in body):
            self.wfile.write(piece)
            time.sleep(pause or 0)

    def log_message(self, *_: object) -> None:
        """Say nothing on the terminal."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that did not wait."""


def _basic(user: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(user).encode()).decode()


@pytest.fixture
def index() -> Iterator[IndexSimulator]:
    server = _Server(("127.0.0.1", 0), _Handler)
    simulator = IndexSimulator(url=f"http://127.0.0.1:{server.server_port}")
    server.index = simulator  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield simulator
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "env")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def client() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


Locate = Callable[..., Located]


@pytest.fixture
def find(index: IndexSimulator, store: Store, client: requests.Session) -> Locate:
    """``locate`` with the simulated index, the store and a plain session."""

    def call(
        *distributions: InstalledDistribution, offline: bool = False, homes: tuple[str, ...] = ()
    ) -> Located:
        places = Configuration(indexes=(index.index(),))
        authorise(client, places)
        return locate(
            distributions,
            store=store,
            indexes=places.indexes,
            session=client,
            offline=offline,
            progress=Silent(),
            homes=homes,
        )

    return call


@pytest.fixture
def direct_url() -> Callable[..., DirectUrl]:
    return lambda url, **more: DirectUrl(**{"kind": "archive", "url": url, **more})
