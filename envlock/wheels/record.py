"""RECORD: the list of a wheel's files with their hashes (binary distribution format, "RECORD").

Installers add lines of their own (INSTALLER, bytecode, launchers) and write the whole file anew, so
two RECORDs are compared entry by entry, never as bytes.
"""

import csv
import hashlib
import io
import json
import posixpath
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from operator import itemgetter

from envlock.core.digest import Digest
from envlock.lock import record_lines
from envlock.lock.environment import RecordEntry

# Lines that are hashed at once: of a million, all would be 100 MB more.
_BATCH = 4096
_SHA256 = re.compile(r"sha256=([A-Za-z0-9_-]{43})=?")
# Written by the installer beside what the wheel brought: pip, uv, and signatures that no longer hold.
_MADE_BY_INSTALLERS = frozenset(
    {
        "RECORD",
        "RECORD.jws",
        "RECORD.p7s",
        "INSTALLER",
        "REQUESTED",
        "direct_url.json",
        "provenance_url.json",
        "uv_cache.json",
        "uv_build.json",
    }
)


def parse(data: bytes) -> tuple[RecordEntry, ...]:
    """Return the entries of a RECORD file; rows that are no (path, hash, size) are left out.

    Raises ValueError for bytes that are no UTF-8 CSV text.
    """
    text = data.decode()
    found = record_lines.read(text)
    return found if found is not None else _read(text)


def _read(text: str) -> tuple[RecordEntry, ...]:
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    return tuple(_entry(*row) for row in rows if row and row[0])


def dumps(entries: Iterable[RecordEntry]) -> bytes:
    """Return a RECORD file with ``entries`` in the order given."""
    text = io.StringIO(newline="")
    rows = (
        (
            one.path,
            f"sha256={one.sha256}" if one.sha256 else "",
            "" if one.size is None else str(one.size),
        )
        for one in entries
    )
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def encoded(digest: bytes) -> str:
    """Return a raw SHA-256 digest in RECORD's form: urlsafe base64 without padding."""
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def content_digest(entries: Iterable[RecordEntry]) -> Digest:
    """Return what identifies an installed RECORD, whatever the order of its lines."""
    state, ordered = hashlib.sha256(), sorted(entries, key=itemgetter(0))
    for at in range(0, len(ordered), _BATCH):
        # By column: encoding a list for each line takes twice as long.
        columns = tuple(zip(*ordered[at : at + _BATCH], strict=True))
        state.update(json.dumps(columns).encode())
    return Digest(state.hexdigest())


def normal(path: str) -> str:
    """Return a path without steps that lead nowhere; what surely has none as it is: one string for both."""
    has_none = "//" not in path and "./" not in path and not path.endswith((".", "/"))
    return path if has_none else posixpath.normpath(path)


def is_bytecode(path: str) -> bool:
    """Tell whether the interpreter makes this file by itself."""
    return path.endswith((".pyc", ".pyo")) or "__pycache__" in path.split("/")


def is_made_by_installer(path: str, dist_info: str) -> bool:
    """Tell whether ``path`` is a file that an installer writes for a wheel of this dist-info directory.

    virtualenv, which copies the first packages of an environment, leaves an empty file beside it.
    """
    directory, _, name = path.rpartition("/")
    if not directory:
        return name == f"{dist_info.removesuffix('.dist-info')}.virtualenv"
    return directory == dist_info and name in _MADE_BY_INSTALLERS


def _entry(path: str, digest: str = "", size: str = "", *_: str) -> RecordEntry:
    matched = _SHA256.fullmatch(digest)
    return RecordEntry(
        path=path,
        sha256=matched.group(1) if matched else None,
        size=int(size) if size.isdecimal() else None,
    )
