"""What uv is configured with: uv.toml, ``[tool.uv]`` and UV_ variables (uv documentation, "Indexes").

Of the project's own files uv.toml beats pyproject.toml, and the nearest directory upwards that has one
counts. Project beats user, user beats system; lists are put together in that order.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from envlock.host.home import home_directory
from envlock.runtime.errors import InputError
from envlock.wheels import uv_logins
from envlock.wheels.uv_logins import StoredLogin

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TRUE = frozenset({"y", "yes", "t", "true", "on", "1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UvIndex:
    """An index as uv knows it. ``flat``: a page or directory of links. The URL may hold credentials."""

    name: str | None
    url: str = field(repr=False)
    default: bool = False
    flat: bool = False
    explicit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UvSettings:
    """uv's options that tell where it finds wheels."""

    indexes: tuple[UvIndex, ...] = ()
    find_links: tuple[str, ...] = field(default=(), repr=False)
    no_index: bool = False
    keyring_provider: str | None = None
    client_cert: str | None = None
    insecure_hosts: tuple[str, ...] = ()


def config_files(environ: Mapping[str, str], project: Path | None = None) -> tuple[Path, ...]:
    """Return uv's configuration files, the strongest first."""
    if chosen := environ.get("UV_CONFIG_FILE"):
        return (Path(chosen),)
    if environ.get("UV_NO_CONFIG", "").lower() in _TRUE:
        return ()
    home = home_directory(environ)
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    shared = [Path(one) for one in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep) if one]
    system = next((one for place in shared if (one := place / "uv" / "uv.toml").is_file()), None)
    above = _of_project(project) if project is not None else None
    return (
        *([above] if above is not None else []),
        own / "uv" / "uv.toml",
        system or Path("/etc/uv/uv.toml"),
    )


def read(environ: Mapping[str, str], files: Sequence[Path]) -> UvSettings:
    """Return the settings. Raises InputError for a file that can't be read as a configuration."""
    tables = [(path.parent, table) for path in files if (table := _table(path))]
    nested = [(place, one) for place, table in tables for one in (table, _dict(table.get("pip")))]
    tabled = [index for place, table in nested for index in _from_table(table, place)]
    links = [_absolute(one, place) for place, table in nested for one in _strings(table.get("find-links"))]
    provider = [one for _, table in nested for one in _strings(table.get("keyring-provider"))]
    insecure = [one for _, table in nested for one in _strings(table.get("allow-insecure-host"))]
    variable = environ.get("UV_KEYRING_PROVIDER")
    logins = uv_logins.read(environ)
    return UvSettings(
        indexes=tuple(_with_login(index, environ, logins) for index in (*_from_variables(environ), *tabled)),
        find_links=(*environ.get("UV_FIND_LINKS", "").replace(",", " ").split(), *links),
        no_index=environ.get("UV_NO_INDEX", "").lower() in _TRUE
        or any(table.get("no-index") is True for _, table in nested),
        keyring_provider=variable or next(iter(provider), None),
        client_cert=environ.get("SSL_CLIENT_CERT") or None,
        insecure_hosts=(*environ.get("UV_INSECURE_HOST", "").replace(",", " ").split(), *insecure),
    )


def _of_project(directory: Path) -> Path | None:
    resolved = directory.resolve()
    for place in (resolved, *resolved.parents):
        for name in ("uv.toml", "pyproject.toml"):
            if _table(place / name):
                return place / name
    return None


def _table(path: Path) -> dict[str, Any]:
    """Return uv's table of a file; empty when there is none."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError:
        return {}
    except ValueError as error:
        if path.name == "pyproject.toml":
            # Other tools' file: a fault in it is no fault of uv's settings.
            return {}
        raise InputError("not a configuration file of uv", where=str(path), found=str(error)) from error
    if path.name != "pyproject.toml":
        return document
    return _dict(_dict(document.get("tool")).get("uv"))


def _from_variables(environ: Mapping[str, str]) -> Iterator[UvIndex]:
    for text in environ.get("UV_INDEX", "").split():
        yield _stated(text)
    for text in environ.get("UV_EXTRA_INDEX_URL", "").split():
        yield _stated(text)
    if text := (environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or "").strip():
        yield _stated(text, default=True)


def _stated(text: str, *, default: bool = False) -> UvIndex:
    """Split ``name=URL``; a ``=`` inside the URL is no name's."""
    name, separator, url = text.partition("=")
    named = bool(separator) and "/" not in name
    return UvIndex(name=name if named else None, url=url if named else text, default=default)


def _from_table(table: Mapping[str, Any], place: Path) -> Iterator[UvIndex]:
    entries = table.get("index")
    for one in entries if isinstance(entries, list) else []:
        entry = _dict(one)
        if isinstance(entry.get("url"), str):
            yield UvIndex(
                name=entry["name"] if isinstance(entry.get("name"), str) else None,
                url=_absolute(entry["url"], place),
                default=entry.get("default") is True,
                flat=entry.get("format") == "flat",
                explicit=entry.get("explicit") is True,
            )
    for url in _strings(table.get("extra-index-url")):
        yield UvIndex(name=None, url=_absolute(url, place))
    for url in _strings(table.get("index-url")):
        yield UvIndex(name=None, url=_absolute(url, place), default=True)


def _with_login(index: UvIndex, environ: Mapping[str, str], logins: tuple[StoredLogin, ...]) -> UvIndex:
    """Return the index with the login of UV_INDEX_<NAME>_USERNAME and _PASSWORD, else the stored one."""
    key = re.sub(r"[^A-Z0-9]", "_", (index.name or "").upper())
    user, password = (environ.get(f"UV_INDEX_{key}_{part}") for part in ("USERNAME", "PASSWORD"))
    if not key or (user is None and password is None):
        return replace(index, url=uv_logins.with_login(index.url, logins))
    parts = urlsplit(index.url)
    login = f"{quote(user or parts.username or '', safe='')}:{quote(password or '', safe='')}"
    url = urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}"))
    return replace(index, url=url)


def _absolute(text: str, place: Path) -> str:
    """Return a URL as it is, and a path as seen from the file that names it."""
    return text if "://" in text else str(place / text)


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
