"""Files that must never leave the machine, although they lie among code: keys, passwords, tokens.

A name decides where it can (``.env``, ``.netrc``); a certificate and a private key share their endings,
so those are told apart by what is in them.
"""

import re
from pathlib import Path

_NAME = re.compile(
    r"\.env(\..+)?|\.?netrc|\.pypirc|\.pgpass|\.git-credentials|\.htpasswd|id_(rsa|dsa|ecdsa|ed25519)"
    r"|.+\.(p12|pfx|jks|kdbx|keystore)"
)
# ``.env.example`` and its like are there to be read by others.
_EXAMPLE = re.compile(r"\.env\.(example|sample|template|dist)")
_MAYBE_KEY = (".pem", ".key", ".asc", ".ppk")
_START = 1 << 16
_PRIVATE = re.compile(rb"PRIVATE KEY|PuTTY-User-Key-File")


def is_confidential(path: Path) -> bool:
    """Tell whether the file holds a secret, by its name or, for what may be a key, by its start."""
    name = path.name.lower()
    if _NAME.fullmatch(name):
        return _EXAMPLE.fullmatch(name) is None
    return name.endswith(_MAYBE_KEY) and _PRIVATE.search(_start(path)) is not None


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_START)
    except OSError:
        return b""
