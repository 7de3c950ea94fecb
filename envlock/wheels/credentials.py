"""Logins for indexes: sent to the host that they belong to, asked for late, written nowhere.

Rules kept here, which are pip's ("Authentication" in its documentation):

* A login in an index's URL serves all of that host; of several the one whose path is nearest counts.
* Else netrc is read, by requests.
* Only a 401 makes anyone ask keyring: for the index's URL, then for the host. The library is tried first
  (``pip install 'envlock[keyring]'``), then a program ``keyring`` on PATH; ``keyring-provider`` chooses.
* Requests drops the login when a redirect leads to another host.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_netrc_auth

from envlock.core.progress import SILENT, Progress
from envlock.host import http, process
from envlock.host.trusting import trust
from envlock.runtime.errors import InputError, UnreachableError
from envlock.wheels.configuration import Configuration, Index

Login = tuple[str, str]
_PATIENCE = 60.0


def session(
    environ: Mapping[str, str],
    configuration: Configuration,
    ca_bundle: str | None = None,
    *,
    timeout: tuple[float, float] = http.QUESTION_TIMEOUT,
    progress: Progress = SILENT,
) -> requests.Session:
    """Return a session for the configured places: with their logins, certificates and proxy.

    Raises InputError as :func:`envlock.host.http.session`, and for a client certificate that is not there.
    """
    client = http.session(environ, ca_bundle or configuration.cert, timeout=timeout, progress=progress)
    trust(client, configuration.trusted_hosts)
    own = configuration.client_cert
    if own is not None and not Path(own).is_file():
        raise InputError("there is no such client certificate", where=own, hint="see PIP_CLIENT_CERT")
    client.cert = own
    if configuration.proxy is not None:
        client.proxies = dict.fromkeys(("http", "https"), configuration.proxy)
        # As in pip: the variables of the environment would count more.
        client.trust_env = False
    authorise(client, configuration)
    return client


def authorise(client: requests.Session, configuration: Configuration) -> None:
    """Let ``client`` answer with each index's own login, on that index's host only."""
    client.auth = _IndexAuth(configuration.indexes, configuration.keyring_provider)


def used_login(answer: requests.Response) -> bool:
    """Tell whether the answer was given to someone with a login."""
    return any("Authorization" in one.request.headers for one in (*answer.history, answer))


class _IndexAuth(AuthBase):
    def __init__(self, known: Sequence[Index], provider: str) -> None:
        self._known = tuple((index, urlsplit(index.url)) for index in known)
        self._provider = provider
        self._found: dict[tuple[str, str | None], Login | None] = {}
        # Sixteen threads that all meet a 401 shall not open sixteen dialogs.
        self._lock = threading.Lock()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.hooks["response"] = [*request.hooks.get("response", ()), self._after]
        # A session with its own authentication no longer looks into netrc by itself.
        login = self._remembered(request.url or "") or get_netrc_auth(request.url or "")
        return HTTPBasicAuth(*login)(request) if login else request

    def _after(self, answer: requests.Response, *_: Any, **named: Any) -> requests.Response:
        """Ask once more with a login from keyring, where the server wants one."""
        if answer.status_code != requests.codes.unauthorized:
            return answer
        login = self._from_keyring(answer.request.url or "")
        request = answer.request.copy()
        refused = request.headers.pop("Authorization", None)
        if login is None or HTTPBasicAuth(*login)(request).headers["Authorization"] == refused:
            return answer
        # What is left of the answer must be read before its connection serves again.
        answer.content  # noqa: B018
        answer.close()
        again: requests.Response = answer.connection.send(request, **named)
        again.history.append(answer)
        again.request = request
        return again

    def _remembered(self, url: str) -> Login | None:
        index = self._nearest(url)
        stated = (unquote(index.username or ""), unquote(index.password or "")) if index else None
        for service in _services(index, urlsplit(url)):
            found = self._found.get((service, _user(index)))
            if found is not None:
                return found
        return stated if index is not None and index.username is not None else None

    def _nearest(self, url: str) -> SplitResult | None:
        """Return the index on the URL's host whose path has most in common with it; with a login first."""
        parts = urlsplit(url)
        place = (parts.scheme, parts.hostname, parts.port)
        there = [one for _, one in self._known if (one.scheme, one.hostname, one.port) == place]
        return max(
            there, key=lambda one: (_shared(one.path, parts.path), one.username is not None), default=None
        )

    def _from_keyring(self, url: str) -> Login | None:
        index = self._nearest(url)
        with self._lock:
            for service in _services(index, urlsplit(url)):
                key = (service, _user(index))
                if key not in self._found:
                    self._found[key] = _ask(self._provider, *key)
                if self._found[key] is not None:
                    return self._found[key]
        return None


def _services(index: SplitResult | None, parts: SplitResult) -> tuple[str, ...]:
    """Return the names that a keyring may know the login by: the index's URL, then the host."""
    host = parts.netloc.rpartition("@")[2]
    if index is None:
        return (host,)
    path = index.path.rstrip("/") + "/"
    return f"{index.scheme}://{index.netloc.rpartition('@')[2]}{path}", host


def _user(index: SplitResult | None) -> str | None:
    return unquote(index.username) if index is not None and index.username else None


def _shared(one: str, other: str) -> int:
    """Count the path segments from the start that two paths share."""
    count = 0
    for first, second in zip(one.strip("/").split("/"), other.strip("/").split("/"), strict=False):
        if first != second:
            break
        count += 1
    return count


def _ask(provider: str, service: str, user: str | None) -> Login | None:
    """Return keyring's login. A keyring that is locked, broken or not there has none."""
    if provider in ("auto", "import"):
        try:
            import keyring  # noqa: PLC0415  # an optional extra, and it loads the desktop's libraries
        except ImportError:
            pass
        else:
            return _from_library(keyring, service, user)
    return _from_program(service, user) if provider in ("auto", "subprocess") else None


def _from_library(keyring: Any, service: str, user: str | None) -> Login | None:
    try:
        found = keyring.get_credential(service, user)
    except Exception:  # noqa: BLE001  # each backend raises its own
        return None
    return (found.username, found.password) if found is not None else None


def _from_program(service: str, user: str | None) -> Login | None:
    argv = ["keyring", "--mode=creds", "--output=json", "get", service, *([user] if user else [])]
    try:
        done = process.run(argv, timeout=_PATIENCE)
        match json.loads(done.stdout) if done.exit_code == 0 else None:
            case {"username": str(name), "password": str(password)}:
                return name, password
            case _:
                return None
    except (UnreachableError, ValueError):
        return None
