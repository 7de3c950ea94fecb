"""RECORD: reading it, writing it, and checking files against it (PEP 376, PEP 627).

A wheel's RECORD names every file but itself and its signatures with a hash; the algorithms are
those that the binary distribution format allows (SHA-256 or stronger).
"""

import csv
import hashlib
import io
from binascii import b2a_base64
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Final, NamedTuple

from envlock.runtime.errors import InputError, IntegrityError

_HASHES: Final = ("sha256", "sha384", "sha512")
_TOLD: Final = 20
# From the usual base64 to that for URLs. base64's own function for it takes three times as long.
_FOR_URLS: Final = bytes.maketrans(b"+/", b"-_")


class RecordedHash(NamedTuple):
    """A hash of RECORD: ``value`` is urlsafe base64 without padding, as written there."""

    algorithm: str
    value: str

    def __str__(self) -> str:
        """Return ``sha256=…``, as RECORD has it."""
        return f"{self.algorithm}={self.value}"


def recorded_hash(data: bytes) -> RecordedHash:
    """Return the hash that RECORD gives to ``data``."""
    return RecordedHash(algorithm="sha256", value=_encoded(hashlib.sha256(data).digest()))


def parse_record(text: str, where: str) -> dict[str, RecordedHash]:
    """Return the hash of each path that has one. Raises InputError that names the line."""
    rows: dict[str, RecordedHash] = {}
    seen: set[str] = set()
    for line, row in enumerate(_rows(text, where), start=1):
        if not row:
            continue
        there = f"{where}: line {line}"
        if len(row) != 3:  # noqa: PLR2004 # path, hash, size
            raise InputError("not a RECORD", where=there, expected="3 fields", found=f"{len(row)}")
        path, hashed, _ = row
        if path in seen:
            raise InputError("not a RECORD", where=there, expected="one line a file", found=f"{path} twice")
        seen.add(path)
        if hashed:
            rows[path] = _parse_hash(hashed, there)
    return rows


def format_record(rows: Iterable[tuple[str, RecordedHash | None, int | None]]) -> bytes:
    """Return a RECORD of (path, hash, size) rows, sorted by path."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows(
        (path, "" if hashed is None else f"{hashed.algorithm}={hashed.value}", size)
        for path, hashed, size in sorted(rows, key=itemgetter(0))
    )
    return stream.getvalue().encode()


class Verifier:
    """Checks files against RECORD while they pass, and tells every mismatch at once."""

    def __init__(self) -> None:
        """Start without mismatches."""
        self._checks: list[tuple[str, RecordedHash, Callable[[], bytes]]] = []
        self._wrong: list[str] = []

    def watch(self, where: str, recorded: RecordedHash) -> Callable[[bytes], None]:
        """Return a function that takes the file's pieces, in order."""
        state: hashlib._Hash = getattr(hashlib, recorded.algorithm)()
        self._checks.append((where, recorded, state.digest))
        return state.update

    def check(self, where: str, recorded: RecordedHash, digest: bytes) -> None:
        """Compare the whole file's ``digest``, which is by the recorded algorithm."""
        if _encoded(digest) != recorded.value:
            self._wrong.append(where)

    def finish(self) -> None:
        """Raise IntegrityError that names every file whose bytes differ."""
        for where, recorded, digest in self._checks:
            self.check(where, recorded, digest())
        wrong = self._wrong
        if wrong:
            more = f" and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
            raise IntegrityError(
                f"{len(wrong)} file(s) differ from RECORD",
                where="; ".join(wrong[:_TOLD]) + more,
                hint="the wheel was altered after it was built: get it anew, or capture again",
            )


def _rows(text: str, where: str) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InputError("not a RECORD", where=where, expected="CSV", found=str(error)) from error


def _parse_hash(text: str, there: str) -> RecordedHash:
    algorithm, _, value = text.partition("=")
    if algorithm not in _HASHES or not value:
        raise InputError(
            "not a RECORD", where=there, expected="a hash by " + ", ".join(_HASHES), found=repr(text)
        )
    # Some writers keep the padding that the format leaves out.
    return RecordedHash(algorithm, value.rstrip("="))


def _encoded(digest: bytes) -> str:
    return b2a_base64(digest, newline=False).rstrip(b"=\n").translate(_FOR_URLS).decode("ascii")
