"""Who we are to a registry: Docker's and containers' configuration, stores and helpers included.

Rules kept here (Docker's config.json, containers-auth.json(5)):

* Files in turn: REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json,
  $XDG_CONFIG_HOME/containers/auth.json, $DOCKER_CONFIG/config.json (default ~/.docker). The first that
  knows the registry decides.
* In a file: ``credHelpers`` of the registry, then ``auths`` (the longest of ``host/path`` first), then
  ``credsStore``. A helper is the program ``docker-credential-NAME``, which is given the registry on its
  standard input.
* Nothing found means anonymous. A secret is held in memory and shown nowhere.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envlock.host import process
from envlock.host.home import home_directory
from envlock.oci.registry.reference import Reference
from envlock.runtime.errors import InputError, UnreachableError

# What Docker writes for its own registry, from before registries had names.
_LEGACY = {"docker.io": ("https://index.docker.io/v1/",)}
_SECONDS = 30.0
# The user name of credentials that are a token to be exchanged (docker-credential-helpers).
_TOKEN = "<token>"  # noqa: S105 (a mark, no secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A user and a password, or an identity token for OAuth 2."""

    user: str = field(repr=False)
    password: str = field(repr=False)
    identity_token: str | None = field(default=None, repr=False)


def find(reference: Reference, environ: Mapping[str, str]) -> Credentials | None:
    """Return the credentials for a registry, None for anonymous.

    Raises InputError for a file that is no such configuration, UnreachableError for a helper that fails.
    """
    for path in _files(environ):
        settings = _settings(path)
        found = _from(settings, reference, path, environ) if settings else None
        if found is not None:
            return found
    return None


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    home = home_directory(environ)
    if named := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime, "containers", "auth.json")
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "containers", "auth.json")
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker", "config.json")


def _settings(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InputError("cannot read credentials", where=str(path), found=error.strerror) from error
    except ValueError as error:
        raise InputError("not a file of credentials", where=str(path), expected="JSON") from error
    return value if isinstance(value, dict) else {}


def _from(
    settings: dict[str, Any], reference: Reference, path: Path, environ: Mapping[str, str]
) -> Credentials | None:
    names = _names(reference)
    helpers = _table(settings, "credHelpers")
    for name in names:
        if isinstance(helper := helpers.get(name), str):
            return _helped(helper, name, environ)
    auths = _table(settings, "auths")
    for name in names:
        entry = _table(auths, name)
        if entry.get("auth") or entry.get("identitytoken"):
            return _stated(entry, f"{path}: auths.{name}")
    store = settings.get("credsStore")
    if isinstance(store, str) and store:
        found = (_helped(store, name, environ) for name in names)
        return next((one for one in found if one is not None), None)
    return None


def _names(reference: Reference) -> list[str]:
    """Return the keys that may hold the credentials, the most specific first."""
    parts = [reference.registry, *reference.repository.split("/")]
    paths = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    registry = reference.registry
    return [*paths, f"https://{registry}", f"http://{registry}", *_LEGACY.get(registry, ())]


def _stated(entry: dict[str, Any], where: str) -> Credentials:
    try:
        text = base64.b64decode(str(entry.get("auth") or ""), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InputError("unusable credentials", where=where, expected="base64 of user:password") from error
    user, _, password = text.partition(":")
    # Docker pads some of these with NUL bytes.
    return Credentials(
        user=user, password=password.rstrip("\0"), identity_token=entry.get("identitytoken") or None
    )


def _helped(helper: str, name: str, environ: Mapping[str, str]) -> Credentials | None:
    argv = [f"docker-credential-{helper}", "get"]
    done = process.run(argv, env=environ, stdin=name.encode(), timeout=_SECONDS)
    if done.exit_code:
        # A helper that has nothing says so on standard output (docker-credential-helpers, errors.go).
        if b"credentials not found" in done.stdout:
            return None
        raise UnreachableError(
            "a credential helper failed", where=argv[0], found=f"exit status {done.exit_code}"
        )
    try:
        value = json.loads(done.stdout)
        user, secret = str(value["Username"]), str(value["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnreachableError(
            "a credential helper gave no usable answer", where=argv[0], expected="Username and Secret"
        ) from error
    if user == _TOKEN:
        return Credentials(user="", password="", identity_token=secret)
    return Credentials(user=user, password=secret)


def _table(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
