"""HTTP with bounded patience, the machine's CA bundle and no credentials in errors.

Rules kept here:

* A busy server (408, 429, 5xx) is asked again, after Retry-After where it states one of at most
  LONGEST_WAIT seconds; one that asks for a longer pause is given up at once. Each pause is told.
* A transfer that breaks off goes on where it stopped; at the fifth break it is given up.
* An answer that drips is as good as none (:mod:`envlock.host.pace`).
* What an error says depends on the fault alone: no addresses of objects, ports of this machine, tokens.

``requests`` honours netrc, proxies, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE; envlock adds PIP_CERT and
SSL_CERT_FILE, which users behind a corporate CA already set for pip and uv.
"""

import errno
import os
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, TooManyRedirects
from requests.utils import get_environ_proxies
from urllib3 import BaseHTTPResponse, exceptions
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import IncompleteRead, InvalidHeader, MaxRetryError, NameResolutionError
from urllib3.util import Retry

from envlock.core.progress import SILENT, Progress
from envlock.core.redaction import redacted, without_tokens
from envlock.host.backoff import RETRIABLE, Waits
from envlock.host.files import CHUNK
from envlock.host.pace import LEAST_RATE, SlowError
from envlock.host.store import HashingWriter
from envlock.host.tls import SharingAdapter
from envlock.runtime.errors import InputError, UnreachableError

TIMEOUT = (10.0, 120.0)
"""Seconds to connect, and between two pieces of an answer, of a download."""
QUESTION_TIMEOUT = (10.0, 30.0)
"""The same for small answers."""
LONGEST_WAIT = 30.0
_BREAKS = 5
_BUNDLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
Ask = Callable[[Mapping[str, str]], requests.Response]
"""Gives the answer, open for streaming, to a request with these headers."""
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


_WORDS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((NameResolutionError,), "no such host name"),
    ((IncompleteRead, ChunkedEncodingError), "the answer was cut short"),
    ((ContentDecodingError,), "the answer can't be decompressed"),
    ((SlowError,), f"an answer slower than {LEAST_RATE:.0f} bytes a second"),
    ((TimeoutError, requests.Timeout, exceptions.TimeoutError), "no answer in time"),
    ((TooManyRedirects,), "redirected without end"),
)


def session(
    environ: Mapping[str, str],
    ca_bundle: str | None = None,
    *,
    timeout: tuple[float, float] = TIMEOUT,
    progress: Progress = SILENT,
) -> requests.Session:
    """Return a session that tries again as the module says, with 16 pooled connections.

    ``timeout`` holds where a request names none; ``progress`` is told of pauses. The CA bundle is
    ``ca_bundle``, else the first of _BUNDLES in ``environ``. Raises InputError when there is no such file.
    """
    bundle = ca_bundle or next(filter(None, map(environ.get, _BUNDLES)), None)
    if bundle is not None and not Path(bundle).exists():
        raise InputError("there is no such CA bundle", where=bundle, hint="see --ca-bundle and PIP_CERT")
    made = _Session()
    retry = _Patience(
        total=4,
        connect=2,
        read=1,
        # TLS faults above all, which time seldom mends.
        other=1,
        backoff_factor=0.5,
        status_forcelist=RETRIABLE,
        # A status is told by who asked, who knows what it means.
        raise_on_status=False,
        waits=Waits(progress),
    )
    adapter = _TimedAdapter(bundle, timeout, retry)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    made.verify = bundle or True
    return made


class _Session(requests.Session):
    """A session that looks for proxies once for each host: for each request it would take 0.3 ms."""

    def __init__(self) -> None:
        super().__init__()
        self._proxies: dict[str, dict[str, str]] = {}

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Return what holds for a request: what it says itself, the environment's proxies, the session's."""
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.netloc}/"
        if self.trust_env and place not in self._proxies:
            self._proxies[place] = get_environ_proxies(place)
        return {
            "proxies": {**self.proxies, **self._proxies.get(place, {}), **(proxies or {})},
            "stream": self.stream if stream is None else stream,
            # Requests would let REQUESTS_CA_BUNDLE beat what the user says on the command line.
            "verify": self.verify if verify is None else verify,
            "cert": cert or self.cert,
        }


class _Patience(Retry):
    """Tries again, but not after a pause that nobody waits for, and tells of the others."""

    def __init__(self, *, waits: Waits, server: str = "", found: str = "", **named: Any) -> None:
        super().__init__(**named)
        self._waits = waits
        self._server = server
        self._found = found

    def new(self, **changed: Any) -> "_Patience":
        """Return a copy with changes."""
        own = {"waits": self._waits, "server": self._server, "found": self._found}
        return super().new(**{**own, **changed})

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> "_Patience":
        """Refuse when the server asks for a longer pause than LONGEST_WAIT."""
        if response is not None and _pool is not None and self._pause(response) > LONGEST_WAIT:
            raise MaxRetryError(_pool, url or "")
        following = super().increment(method, url, response, error, _pool, _stacktrace)
        server = urlsplit(url or "").hostname or (_pool.host if _pool is not None else "")
        found = status(response.status) if response is not None else _cause(error) if error else None
        return following.new(server=server, found=found or "the connection broke")

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        """Tell of the pause, and make it."""
        pause = (self.get_retry_after(response) if response is not None else None) or self.get_backoff_time()
        if pause > 0:
            self._waits.tell(self._server, self._found, pause)
        super().sleep(response)

    def _pause(self, response: BaseHTTPResponse) -> float:
        try:
            return self.get_retry_after(response) or 0.0
        except InvalidHeader:
            return inf


class _TimedAdapter(SharingAdapter):
    """An adapter with a timeout for requests that name none."""

    def __init__(self, bundle: str | None, timeout: tuple[float, float], retry: Retry) -> None:
        self._timeout = timeout
        super().__init__(bundle, max_retries=retry, pool_maxsize=16)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002  # as its base class is called
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        *more: Any,
        **named: Any,
    ) -> requests.Response:
        """Send with the request's timeout, or this adapter's."""
        return super().send(request, stream, timeout or self._timeout, *more, **named)


def reason(error: requests.RequestException) -> tuple[str, str | None]:
    """Return what went wrong, without credentials, and a hint where it is the CA's fault."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            "a certificate that no known CA has signed",
            "behind a corporate proxy, name its CA certificates with --ca-bundle or PIP_CERT",
        )
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return status(error.response.status_code), None
    return _cause(error) or without_tokens(redacted(str(error))), None


def status(code: int) -> str:
    """Return an HTTP status as it is told: ``status 404 (Not Found)``."""
    known = {one.value: one.phrase for one in HTTPStatus}
    return f"status {code} ({known[code]})" if code in known else f"status {code}"


def _cause(error: BaseException) -> str | None:
    """Return the fault beneath a failed connection, in words that are the same each time."""
    told = (words for one in _chain(error) if (words := _words(one)) is not None)
    return next(told, "the connection broke" if isinstance(error, requests.ConnectionError) else None)


def _words(error: BaseException) -> str | None:
    for kinds, words in _WORDS:
        if isinstance(error, kinds):
            return words
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"TLS: {error.reason.replace('_', ' ').lower()}"
    known = isinstance(error, OSError) and error.errno in errno.errorcode
    return os.strerror(error.errno).lower() if known else None  # type: ignore[attr-defined]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it wraps, the innermost first: urllib3 keeps causes among arguments."""
    wrapped = (*error.args, getattr(error, "reason", None), error.__cause__)
    inner = [one for one in wrapped if isinstance(one, BaseException)]
    for one in inner:
        yield from _chain(one)
    yield error


def download(
    client: requests.Session, url: str, sink: HashingWriter, progress: Callable[[int], None]
) -> None:
    """Stream ``url`` into ``sink``, telling ``progress`` of each piece's bytes.

    Raises UnreachableError; the caller checks the digest.
    """
    try:
        receive(lambda more: client.get(url, stream=True, headers=more, timeout=TIMEOUT), sink, progress)
    except requests.RequestException as error:
        found, hint = reason(error)
        raise UnreachableError(
            "download failed", where=without_tokens(redacted(url)), found=found, hint=hint
        ) from error


def receive(ask: Ask, sink: HashingWriter, progress: Callable[[int], None]) -> None:
    """Stream what ``ask`` answers into ``sink``, asking for the rest where the answer breaks off.

    Raises requests.RequestException at the fifth break, and what ``ask`` raises.
    """
    broken: list[requests.RequestException] = []
    while not _transfer(ask, sink, progress, broken):
        pass


def _transfer(
    ask: Ask,
    sink: HashingWriter,
    progress: Callable[[int], None],
    broken: list[requests.RequestException],
) -> bool:
    """Write what the sink lacks and say whether that was all; ``broken`` gets the error where it was not."""
    # Compressed on the way, bytes could be neither counted nor asked for from the middle.
    headers = {"Accept-Encoding": "identity"}
    if sink.size:
        headers["Range"] = f"bytes={sink.size}-"
    with ask(headers) as answer:
        answer.raise_for_status()
        span = byte_range(answer)
        known = sink.size - (span[0] if span else 0)
        if known < 0:
            raise ChunkedEncodingError("another part of the file than asked for")
        try:
            for piece in answer.iter_content(CHUNK):
                fresh = piece[known:] if known else piece
                known -= len(piece) - len(fresh)
                sink.write(fresh)
                progress(len(fresh))
        except requests.RequestException as error:
            broken.append(error)
            if len(broken) == _BREAKS:
                raise
            return False
    return True


def byte_range(answer: requests.Response) -> tuple[int, int, int] | None:
    """Return (first byte, last byte, size of the file) of a partial answer (RFC 9110 section 14.4)."""
    matched = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if answer.status_code != requests.codes.partial_content or matched is None:
        return None
    first, last, size = map(int, matched.groups())
    return first, last, size
