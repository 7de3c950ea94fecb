"""Logins that ``uv auth login`` stored as text (uv documentation, "The uv auth CLI").

A login serves the URLs below the one that it is stored for; of several the longest counts. Those that uv
put into the system's keyring are found through keyring. A store that can't be read has none.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from envlock.host.home import home_directory

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE = "credentials.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLogin:
    """``service`` is the URL that the login is for."""

    service: str
    username: str = field(repr=False)
    password: str = field(repr=False)


def read(environ: Mapping[str, str]) -> tuple[StoredLogin, ...]:
    """Return the stored logins."""
    data = environ.get("XDG_DATA_HOME") or home_directory(environ) / ".local/share"
    directory = environ.get("UV_CREDENTIALS_DIR") or Path(data, "uv", "credentials")
    try:
        document = tomllib.loads(Path(directory, _FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return ()
    entries = document.get("credential")
    return tuple(_logins(entries if isinstance(entries, list) else []))


def with_login(url: str, logins: tuple[StoredLogin, ...]) -> str:
    """Return an index's URL with the login that is stored for it, unless it has one of its own."""
    parts = urlsplit(url)
    if parts.password is not None:
        return url
    fitting = [one for one in logins if _serves(one, url)]
    if not fitting:
        return url
    best = max(fitting, key=lambda one: len(urlsplit(one.service).path))
    login = f"{quote(best.username, safe='')}:{quote(best.password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}"))


def _logins(entries: list[Any]) -> Iterator[StoredLogin]:
    for entry in entries:
        match entry:
            case {"service": str(service), "username": str(name), "password": str(password)} if _is_url(
                service
            ):
                yield StoredLogin(service=service, username=name, password=password)
            case _:
                continue


def _is_url(text: str) -> bool:
    try:
        place = urlsplit(text)
        host, _ = place.hostname, place.port
    except ValueError:  # no number for a port, no address in brackets
        return False
    return host is not None


def _serves(login: StoredLogin, url: str) -> bool:
    service, asked = urlsplit(login.service), urlsplit(url)
    place = (asked.scheme, asked.hostname, asked.port)
    below = f"{asked.path.rstrip('/')}/".startswith(f"{service.path.rstrip('/')}/")
    return (
        (service.scheme, service.hostname, service.port) == place
        and below
        and asked.username in (None, login.username)
    )
