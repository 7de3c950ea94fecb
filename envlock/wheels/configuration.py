"""Where this machine's installers find wheels: pip's and uv's indexes and find-links, in one list.

An index is asked by HTTP, or is a directory laid out as one (PEP 503); find-links are directories and
pages of links. A URL's user and password serve look-ups in this process and are never written: use
:attr:`Index.public_url`. No directory of one machine gets into a lock either, only its wheels do.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from envlock.wheels import default_index, pip_settings, uv_settings
from envlock.wheels.pip_settings import PipSettings
from envlock.wheels.public_url import public
from envlock.wheels.uv_settings import UvSettings

Form = Literal["simple", "links"]
_LOCAL_NAMES: dict[Form, str] = {"simple": "local", "links": "find-links"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A place with wheels. ``name`` is what a lock calls it; ``is_default`` the public one of every client.

    ``form``: ``simple`` has a page for each project, ``links`` is one page or directory of files.
    """

    name: str
    url: str = field(repr=False)
    is_default: bool
    form: Form = "simple"

    @property
    def public_url(self) -> str:
        """The URL without credentials, ending in a slash where it is one of pages."""
        url = public(self.url).rstrip("/")
        return url if self.form == "links" else f"{url}/"

    @property
    def address(self) -> str:
        """The URL to ask, whose login is sent apart from it (:mod:`envlock.wheels.credentials`)."""
        parts = urlsplit(self.url)
        whole = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
        url = (whole._replace(query="") if self.form == "simple" else whole).geturl()
        return url if self.form == "links" else url.rstrip("/") + "/"

    @property
    def directory(self) -> Path | None:
        """Where on this disk it lies, or None for one on a server."""
        parts = urlsplit(self.url)
        return Path(unquote(parts.path)) if parts.scheme == "file" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Where to look, in this order, and how credentials are kept."""

    indexes: tuple[Index, ...]
    keyring_provider: str = "auto"
    """``auto``, ``import``, ``subprocess`` or ``disabled``, as pip calls them."""
    cert: str | None = None
    """pip's CA bundle."""
    client_cert: str | None = None
    """A file with the user's own certificate and its key."""
    proxy: str | None = field(default=None, repr=False)
    """pip's, which then counts alone; else requests honours HTTPS_PROXY and its like, as uv does."""
    trusted_hosts: tuple[str, ...] = ()
    """``host`` or ``host:port`` whose certificate is not checked."""


def read(
    environ: Mapping[str, str], *, prefix: Path | None = None, project: Path | None = None
) -> Configuration:
    """Return what pip of the environment ``prefix`` and uv in the directory ``project`` would use.

    Raises InputError for a configuration file that can't be read as one.
    """
    pip = pip_settings.read(environ, pip_settings.config_files(environ, prefix))
    uv = uv_settings.read(environ, uv_settings.config_files(environ, project))
    return combined(pip, uv)


def combined(pip: PipSettings, uv: UvSettings) -> Configuration:
    """Return both tools' places, the main index first, each once. Paths on disk come last."""
    places: dict[tuple[str, Form], tuple[str | None, str]] = {}
    for name, text, form in (*_indexes(pip, uv), *_links(pip, uv)):
        url = _url(text)
        if url is not None:
            places.setdefault((public(url).rstrip("/"), form), (name, url))
    ordered = sorted(places.items(), key=lambda one: urlsplit(one[0][0]).scheme == "file")
    return Configuration(
        indexes=tuple(_named(ordered)),
        keyring_provider=pip.keyring_provider or uv.keyring_provider or "auto",
        cert=pip.cert,
        client_cert=pip.client_cert or uv.client_cert,
        proxy=pip.proxy,
        trusted_hosts=(*pip.trusted_hosts, *uv.insecure_hosts),
    )


def _indexes(pip: PipSettings, uv: UvSettings) -> Iterator[tuple[str | None, str, Form]]:
    defaults = [one for one in uv.indexes if one.default][:1] if not uv.no_index else []
    main = pip.index_url if not pip.no_index else None
    if main:
        yield None, main, "simple"
    for one in defaults:
        yield one.name, one.url, "links" if one.flat else "simple"
    if not main and not defaults and not pip.no_index and not uv.no_index:
        yield None, default_index.url(), "simple"
    # An explicit index serves only the packages that name it, so the others are likelier.
    more = [one for one in uv.indexes if not one.default] if not uv.no_index else []
    for one in sorted(more, key=lambda one: one.explicit):
        yield one.name, one.url, "links" if one.flat else "simple"
    for url in pip.extra_index_urls if not pip.no_index else ():
        yield None, url, "simple"


def _links(pip: PipSettings, uv: UvSettings) -> Iterator[tuple[str | None, str, Form]]:
    for text in (*pip.find_links, *uv.find_links):
        yield None, text, "links"


def _url(text: str) -> str | None:
    """Return the URL of an index or a path as configured, or None for one that nothing can be read from."""
    parts = urlsplit(text)
    if parts.scheme in ("http", "https"):
        return text if parts.hostname else None
    if parts.scheme == "file":
        return text
    return Path(os.path.expanduser(text)).absolute().as_uri() if "://" not in text else None


def _named(
    places: Iterable[tuple[tuple[str, Form], tuple[str | None, str]]],
) -> Iterator[Index]:
    taken: set[str] = set()
    for (shown, form), (stated, url) in places:
        is_default = shown == default_index.url().rstrip("/")
        name = stated or ("pypi" if is_default else _host_name(shown, form))
        while name in taken:
            name += "'"
        taken.add(name)
        yield Index(name=name, url=url, is_default=is_default, form=form)


def _host_name(shown: str, form: Form) -> str:
    parts = urlsplit(shown)
    if parts.scheme == "file":
        return _LOCAL_NAMES[form]
    return parts.netloc + parts.path.removesuffix("/simple").rstrip("/")


def pip_variables(environ: Mapping[str, str], prefix: Path | None) -> dict[str, str]:
    """Return the PIP_ variables that make any pip look where that of ``prefix`` would, logins included."""
    pip = pip_settings.read(environ, pip_settings.config_files(environ, prefix))
    stated = {
        "PIP_INDEX_URL": pip.index_url or "",
        "PIP_EXTRA_INDEX_URL": " ".join(pip.extra_index_urls),
        "PIP_FIND_LINKS": " ".join(pip.find_links),
        "PIP_NO_INDEX": "1" if pip.no_index else "",
        "PIP_CERT": pip.cert or "",
        "PIP_CLIENT_CERT": pip.client_cert or "",
        "PIP_PROXY": pip.proxy or "",
        "PIP_TRUSTED_HOST": " ".join(pip.trusted_hosts),
    }
    return {name: value for name, value in stated.items() if value}
