"""Which package indexes this machine's installers use: pip's and uv's variables, pip's files.

Only http and https indexes are of use, since a lock names no directory of one machine. A URL's user
and password serve look-ups in this process and are never written: use :attr:`Index.public_url`.
"""

import configparser
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from pypi_simple import PYPI_SIMPLE_ENDPOINT
from requests.auth import HTTPBasicAuth
from requests.utils import get_netrc_auth

from envlock.runtime.errors import InputError

_SECTIONS = ("global", "install")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A simple index. ``name`` is what a lock calls it; ``is_default`` the public one of every client."""

    name: str
    url: str = field(repr=False)
    is_default: bool

    @property
    def public_url(self) -> str:
        """The URL without user and password, ending in a slash."""
        return without_credentials(self.url).rstrip("/") + "/"


def without_credentials(url: str) -> str:
    """Return ``url`` without user, password, query and fragment: each can carry a secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def default_config_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return pip's configuration files, the weakest first; PIP_CONFIG_FILE=/dev/null means none."""
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return ()
    home = Path(environ.get("HOME") or Path.home())
    shared = [Path(one) for one in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep) if one]
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [*(one / "pip" / "pip.conf" for one in reversed(shared)), Path("/etc/pip.conf")]
    files += [home / ".pip" / "pip.conf", own / "pip" / "pip.conf"]
    files += [Path(environ[name]) / "pip.conf" for name in ("VIRTUAL_ENV",) if environ.get(name)]
    return (*files, *([Path(chosen)] if chosen else []))


def indexes(environ: Mapping[str, str], config_files: Sequence[Path] | None = None) -> tuple[Index, ...]:
    """Return the indexes in the order to ask them: the main one first, each once.

    ``config_files`` are pip's, the weakest first (default: as :func:`default_config_files` says).
    Raises InputError for a configuration file that can't be read as one.
    """
    files = default_config_files(environ) if config_files is None else config_files
    settings: dict[str, str] = {}
    for path in files:
        settings |= _settings(path)
    urls: dict[str, tuple[str | None, str]] = {}
    for name, url in _configured(environ, settings):
        public = without_credentials(url).rstrip("/")
        if urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname:
            urls.setdefault(public, (name, url))
    return tuple(_named(urls))


def authorise(client: requests.Session, known: Sequence[Index]) -> None:
    """Let ``client`` answer with an index's own user and password, on that index's host only."""
    client.auth = _IndexAuth(known)


class _IndexAuth(requests.auth.AuthBase):
    def __init__(self, known: Sequence[Index]) -> None:
        parts = (urlsplit(index.url) for index in known)
        self._by_host = {
            (one.scheme, one.hostname, one.port): (unquote(one.username or ""), unquote(one.password or ""))
            for one in parts
            if one.username is not None
        }

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        parts = urlsplit(request.url or "")
        # A session with its own authentication no longer looks into netrc by itself.
        found = self._by_host.get((parts.scheme, parts.hostname, parts.port))
        found = found or get_netrc_auth(request.url or "")
        return HTTPBasicAuth(*found)(request) if found else request


def _settings(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        # A file that is missing or may not be read is passed over, as pip does.
        parser.read(path, encoding="utf-8")
    except (configparser.Error, ValueError) as error:
        raise InputError(
            "not a pip configuration file", where=str(path), found=str(error).splitlines()[0]
        ) from error
    found: dict[str, str] = {}
    for section in _SECTIONS:
        if parser.has_section(section):
            found |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    return found


def _configured(environ: Mapping[str, str], settings: Mapping[str, str]) -> Iterator[tuple[str | None, str]]:
    """Yield (name, URL) as configured; a variable beats a file, as in pip."""
    uv_default = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    main = environ.get("PIP_INDEX_URL") or settings.get("index-url")
    for url in (main, uv_default):
        if url:
            yield _split_name(url.strip())
    if not main and not uv_default:
        yield None, PYPI_SIMPLE_ENDPOINT
    extra = environ.get("PIP_EXTRA_INDEX_URL") or settings.get("extra-index-url") or ""
    for text in (environ.get("UV_INDEX", ""), extra, environ.get("UV_EXTRA_INDEX_URL", "")):
        for url in text.split():
            yield _split_name(url)


def _split_name(text: str) -> tuple[str | None, str]:
    """Split uv's ``name=URL``; a ``=`` inside the URL is no name's."""
    name, separator, url = text.partition("=")
    return (name, url) if separator and "/" not in name else (None, text)


def _named(urls: Mapping[str, tuple[str | None, str]]) -> Iterator[Index]:
    taken: set[str] = set()
    for public, (stated, url) in urls.items():
        is_default = public == PYPI_SIMPLE_ENDPOINT.rstrip("/")
        parts = urlsplit(public)
        host = parts.netloc + parts.path.removesuffix("/simple").rstrip("/")
        name = stated or ("pypi" if is_default else host)
        while name in taken:
            name += "'"
        taken.add(name)
        yield Index(name=name, url=url, is_default=is_default)
