"""The lockfile on disk."""

import re
from pathlib import Path

from envlock.host.files import atomic_write
from envlock.lock import codec
from envlock.lock.model import Lock
from envlock.runtime.errors import InputError, UsageError

# PEP 751, "File Name": what pip and uv recognise.
_NAME = re.compile(r"pylock(\.[^.]+)?\.toml")

# A lock of 300 packages has 0.3 MB. What is far larger is another file, and would be parsed for minutes.
LARGEST = 16 * 2**20


def check_name(path: Path) -> None:
    """Raise UsageError for a name that pip and uv would not take as a lockfile."""
    if not _NAME.fullmatch(path.name):
        raise UsageError(
            "not a lockfile's name",
            where=str(path),
            expected="pylock.toml or pylock.NAME.toml, NAME without a dot",
            found=path.name,
            hint="pip and uv install only from files that are named so",
        )


def read(path: Path) -> Lock:
    """Read a lockfile. Raises as :func:`read_bytes` and ``codec.loads`` do."""
    return codec.loads(read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    """Return a lockfile's exact bytes. Raises InputError when it can't be read, or is far too large."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise InputError(
            "no such lockfile", where=str(path), hint="`envlock capture` writes one from a live environment"
        ) from error
    except OSError as error:
        raise InputError("cannot read the lockfile", where=str(path), found=error.strerror) from error
    if len(data) > LARGEST:
        raise InputError(
            "not a lockfile", where=str(path), expected=f"at most {LARGEST // 2**20} MiB", found="more"
        )
    return data


def write(path: Path, lock: Lock) -> None:
    """Write a lockfile, whole or not at all. Raises UsageError for a name that is not a lockfile's."""
    check_name(path)
    data = codec.dumps(lock)
    with atomic_write(path) as stream:
        stream.write(data)
