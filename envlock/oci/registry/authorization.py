"""Answering a registry's challenge: Basic, or a Bearer token from where the challenge says.

Source: RFC 9110 section 11, distribution's token specification, and its OAuth 2 form for identity tokens.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from envlock.core.redaction import redacted
from envlock.host import http
from envlock.oci.registry.credentials import Credentials
from envlock.runtime.errors import UnreachableError

_PARAMETER = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_CLIENT = "envlock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization(AuthBase):
    """The header that a request bears. None is anonymous, and keeps requests from asking netrc."""

    header: str | None = field(default=None, repr=False)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the header on a request."""
        if self.header is not None:
            request.headers["Authorization"] = self.header
        return request


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """``WWW-Authenticate`` of a 401: the scheme in lower case and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def read_challenge(header: str) -> Challenge:
    """Read the first challenge of the header."""
    scheme, _, rest = header.strip().partition(" ")
    return Challenge(scheme=scheme.lower(), parameters=dict(_PARAMETER.findall(rest)))


def answer(
    challenge: Challenge,
    credentials: Credentials | None,
    session: requests.Session,
    more_scopes: tuple[str, ...] = (),
) -> Authorization:
    """Return the authorization that a challenge asks for.

    ``more_scopes`` are asked for along with the challenge's own. Raises UnreachableError when the token
    server refuses, or when the challenge is of no known kind.
    """
    if challenge.scheme == "basic":
        if credentials is None:
            return Authorization()
        return Authorization(header=_basic(credentials))
    realm = challenge.parameters.get("realm", "")
    if challenge.scheme != "bearer" or urlsplit(realm).scheme not in ("http", "https"):
        raise UnreachableError(
            "the registry asks for an unknown kind of login",
            expected="Basic or Bearer",
            found=challenge.scheme,
        )
    scopes = [*challenge.parameters.get("scope", "").split(), *more_scopes]
    query = [("scope", scope) for scope in dict.fromkeys(scopes)]
    if service := challenge.parameters.get("service"):
        query.append(("service", service))
    return Authorization(header=f"Bearer {_token(realm, query, credentials, session)}")


def _token(
    realm: str, query: list[tuple[str, str]], credentials: Credentials | None, session: requests.Session
) -> str:
    where = redacted(realm)
    try:
        if credentials is not None and credentials.identity_token is not None:
            form = _refresh_form(query, credentials.identity_token)
            done = session.post(realm, data=form, auth=Authorization(), timeout=http.TIMEOUT)
        else:
            header = None if credentials is None else _basic(credentials)
            done = session.get(realm, params=query, auth=Authorization(header=header), timeout=http.TIMEOUT)
    except requests.RequestException as error:
        found, hint = http.reason(error)
        raise UnreachableError("no token server answers", where=where, found=found, hint=hint) from error
    if not done.ok:
        raise UnreachableError(
            "the token server refused",
            where=where,
            found=f"status {done.status_code}",
            hint="log in with docker login or skopeo login",
        )
    try:
        members = done.json()
        return str(members.get("token") or members["access_token"])
    except (ValueError, KeyError, AttributeError) as error:
        raise UnreachableError("the token server gave no token", where=where) from error


def _refresh_form(query: list[tuple[str, str]], token: str) -> dict[str, str]:
    scopes = " ".join(value for name, value in query if name == "scope")
    service = dict(query).get("service", "")
    return {
        "grant_type": "refresh_token",
        "client_id": _CLIENT,
        "refresh_token": token,
        "service": service,
        "scope": scopes,
    }


def _basic(credentials: Credentials) -> str:
    text = f"{credentials.user}:{credentials.password}"
    return "Basic " + base64.b64encode(text.encode()).decode()
