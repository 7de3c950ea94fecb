"""What pip is configured with: its files and PIP_ variables (pip documentation, "Configuration").

A later file beats an earlier one option by option, and a variable beats every file.
"""

import configparser
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from envlock.host.home import home_directory
from envlock.runtime.errors import InputError

_SECTIONS = ("global", "install")
_TRUE = frozenset({"y", "yes", "t", "true", "on", "1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PipSettings:
    """pip's options that tell where it finds wheels and how it gets there. URLs may hold credentials."""

    index_url: str | None = field(default=None, repr=False)
    extra_index_urls: tuple[str, ...] = field(default=(), repr=False)
    find_links: tuple[str, ...] = field(default=(), repr=False)
    no_index: bool = False
    keyring_provider: str | None = None
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = field(default=None, repr=False)
    trusted_hosts: tuple[str, ...] = ()


def config_files(environ: Mapping[str, str], prefix: Path | None = None) -> tuple[Path, ...]:
    """Return pip's configuration files, the weakest first; PIP_CONFIG_FILE=/dev/null means none.

    ``prefix`` is the environment whose pip is meant (default: VIRTUAL_ENV, CONDA_PREFIX).
    """
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return ()
    home = home_directory(environ)
    shared = [Path(one) for one in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep) if one]
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [*(one / "pip" / "pip.conf" for one in reversed(shared)), Path("/etc/pip.conf")]
    if not (chosen and Path(chosen).exists()):
        files += [home / ".pip" / "pip.conf", own / "pip" / "pip.conf"]
    active = prefix or environ.get("VIRTUAL_ENV") or environ.get("CONDA_PREFIX")
    files += [Path(active) / "pip.conf"] if active else []
    return (*files, *([Path(chosen)] if chosen else []))


def read(environ: Mapping[str, str], files: Sequence[Path]) -> PipSettings:
    """Return the settings. Raises InputError for a file that can't be read as a configuration."""
    options: dict[str, str] = {}
    for path in files:
        options |= _options(path)
    # pip counts an empty variable as not set.
    options |= {
        name.removeprefix("PIP_").lower().replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("PIP_") and value
    }
    return PipSettings(
        index_url=options.get("index-url") or None,
        extra_index_urls=tuple(options.get("extra-index-url", "").split()),
        find_links=tuple(options.get("find-links", "").split()),
        no_index=options.get("no-index", "").lower() in _TRUE,
        keyring_provider=options.get("keyring-provider"),
        cert=options.get("cert") or None,
        client_cert=options.get("client-cert") or None,
        proxy=options.get("proxy") or None,
        trusted_hosts=tuple(options.get("trusted-host", "").split()),
    )


def _options(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        # A file that is missing or may not be read is passed over, as pip does.
        parser.read(path, encoding="utf-8")
    except (configparser.Error, ValueError) as error:
        # The first line of the parser's message names the file; the lines after it could show a password.
        raise InputError(
            "not a pip configuration file", where=str(path), found=str(error).splitlines()[0]
        ) from error
    found: dict[str, str] = {}
    for section in _SECTIONS:
        if parser.has_section(section):
            found |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    return found
