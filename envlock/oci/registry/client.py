"""Requests to one repository of a registry: login when it is asked for, tries again when they may help.

Rules kept here:

* A 401 is answered with what its challenge asks for; that authorization then serves all requests, and a
  token that runs out in the middle is fetched anew. A second 401 is answered once more, since a token that
  another thread fetched may have run out before it was used here; a third one is the registry's no.
* 408, 429, 5xx and broken connections are tried again with growing pauses, or as Retry-After says.
  An upload's requests are not: :mod:`upload` asks first how far it came.
* HTTPS always, but for a registry on this machine that answers plain HTTP.
* A slow line is no broken one: what has a time limit is each small part of a body, never the whole.
"""

import io
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urljoin

import requests

from envlock.core.printable import printable
from envlock.core.progress import SILENT, Progress
from envlock.host import http
from envlock.host.backoff import RETRIABLE, Backoff, Waits
from envlock.host.tls import SharingAdapter
from envlock.oci.registry.authorization import Authorization, answer, read_challenge
from envlock.oci.registry.credentials import Credentials, find
from envlock.oci.registry.reference import Reference
from envlock.runtime.errors import InputError, UnreachableError

_UNAUTHORIZED = 401
_FORBIDDEN = 403
_NOT_FOUND = 404
_LOGINS = 2


class BrokenError(Exception):
    """A request that another try may mend."""

    def __init__(self, found: str, retry_after: str | None = None) -> None:
        """Say what was found."""
        super().__init__(found)
        self.found = found
        self.retry_after = retry_after


@dataclass(slots=True, kw_only=True)
class Repository:
    """A repository, and the login to it. Safe to use from many threads."""

    reference: Reference
    session: requests.Session
    credentials: Credentials | None
    waits: Waits = field(default_factory=lambda: Waits(SILENT))
    backoff: Backoff = field(default_factory=Backoff)
    timeout: tuple[float, float] = http.TIMEOUT
    """Seconds to connect and for each part of a body, and to wait for an answer."""
    _authorization: Authorization = field(default_factory=Authorization)
    _scheme: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, path: str) -> str:
        """Return the URL of ``path`` below the repository: ``blobs/sha256:…``."""
        return f"{self._base()}/v2/{self.reference.repository}/{path}"

    def absolute(self, location: str) -> str:
        """Return a ``Location``, which a registry may give without a host."""
        return urljoin(f"{self._base()}/", location)

    def ask(
        self,
        method: str,
        url: str,
        *,
        expected: Collection[int],
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """Send a request, again where that may help, and return an answer of an ``expected`` status.

        Raises UnreachableError, or InputError when the registry does not know what was asked for.
        """
        return self._again(
            lambda: self.send(method, url, expected=expected, headers=headers, data=data, stream=stream), 0
        )

    def send(
        self,
        method: str,
        url: str,
        *,
        expected: Collection[int],
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        stream: bool = False,
        more_scopes: tuple[str, ...] = (),
    ) -> requests.Response:
        """Send a request once. Raises BrokenError where another try may help, else as :meth:`ask`."""
        used = self._authorization
        found = self._once(method, url, used, headers, data, stream=stream)
        for _ in range(_LOGINS):
            if found.status_code != _UNAUTHORIZED or (login := self._login(found, used, more_scopes)) == used:
                break
            used = login
            found = self._once(method, url, used, headers, data, stream=stream)
        if found.status_code in expected:
            return found
        raise self._error(found, method)

    def pause(self, attempt: int, error: BrokenError) -> None:
        """Wait after try number ``attempt``, counted from 0, and tell of it."""
        seconds = self.backoff.seconds(attempt, error.retry_after)
        self.waits.tell(self.reference.registry, error.found, seconds)
        self.backoff.pause(seconds)

    def unreachable(self, found: str, hint: str | None = None) -> UnreachableError:
        """Return the error for a registry that does not do what it must."""
        return UnreachableError(
            "the registry does not answer as it must", where=str(self.reference), found=found, hint=hint
        )

    def _again(self, action: Callable[[], requests.Response], attempt: int) -> requests.Response:
        try:
            return action()
        except BrokenError as error:
            if attempt + 1 >= self.backoff.attempts:
                raise self.unreachable(error.found) from error
            self.pause(attempt, error)
        return self._again(action, attempt + 1)

    def _once(
        self,
        method: str,
        url: str,
        authorization: Authorization,
        headers: Mapping[str, str] | None,
        data: bytes | None,
        *,
        stream: bool,
    ) -> requests.Response:
        # As a stream it goes out in small parts: bytes would have to be through within one time limit.
        body = None if data is None else io.BytesIO(data)
        try:
            return self.session.request(
                method,
                url,
                auth=authorization,
                headers=headers,
                data=body,
                stream=stream,
                timeout=self.timeout,
            )
        except requests.exceptions.SSLError as error:
            found, hint = http.reason(error)
            raise self.unreachable(found, hint) from error
        except requests.RequestException as error:
            raise BrokenError(http.reason(error)[0]) from error

    def _login(
        self, refused: requests.Response, used: Authorization, more_scopes: tuple[str, ...]
    ) -> Authorization:
        with self._lock:
            # Another thread may have logged in since this request was sent.
            if self._authorization is used:
                challenge = read_challenge(refused.headers.get("WWW-Authenticate", ""))
                self._authorization = answer(challenge, self.credentials, self.session, more_scopes)
            return self._authorization

    def _error(self, found: requests.Response, method: str) -> Exception:
        status = found.status_code
        told = f"status {status}{_message(found)}"
        if status in RETRIABLE:
            return BrokenError(told, found.headers.get("Retry-After"))
        if status == _NOT_FOUND and method in ("GET", "HEAD"):
            return InputError(
                "the registry has no such image", where=str(self.reference), found=told, hint="check its name"
            )
        if status in (_UNAUTHORIZED, _FORBIDDEN):
            who = "the login that is configured" if self.credentials else "anonymous access"
            return UnreachableError(
                "the registry refuses",
                where=str(self.reference),
                expected=f"a login that may do this, not {who}",
                found=told,
                hint=f"log in: docker login {self.reference.registry}, or skopeo login",
            )
        return self.unreachable(told)

    def _base(self) -> str:
        with self._lock:
            if not self._scheme:
                self._scheme = self._found_scheme()
            return f"{self._scheme}://{self.reference.host}"

    def _found_scheme(self) -> str:
        if not self.reference.is_loopback:
            return "https"
        try:
            self.session.get(f"https://{self.reference.host}/v2/", auth=Authorization(), timeout=self.timeout)
        except requests.RequestException:
            return "http"
        return "https"


@contextmanager
def connected(
    reference: Reference,
    environ: Mapping[str, str],
    ca_bundle: str | None = None,
    progress: Progress = SILENT,
) -> Iterator[Repository]:
    """Yield the repository of ``reference``, with the login that Docker or containers would use.

    ``progress`` is told of pauses before another try.
    Raises InputError or UnreachableError for credentials that can't be read.
    """
    with http.session(environ, ca_bundle, progress=progress) as session:
        # Tries again are decided here, where it is known what was sent.
        for scheme in ("https://", "http://"):
            session.mount(scheme, SharingAdapter(session.verify, pool_maxsize=16))
        yield Repository(
            reference=reference,
            session=session,
            credentials=find(reference, environ),
            waits=Waits(progress),
        )


def _message(found: requests.Response) -> str:
    """Return the first error that the registry tells (distribution-spec, error codes), cut short."""
    try:
        first = found.json()["errors"][0]
        text = " ".join(str(first.get("message") or first["code"]).split())
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return ""
    return f": {printable(text[:200])}"
