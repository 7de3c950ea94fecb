"""The file of a checkpoint: a zip whose members are stored as they are, ``manifest.json`` the last.

The manifest lists each member's SHA-256 and size; the zip's comment is the SHA-256 of the manifest.
Nothing is compressed, so a member can be read in place, and equal states give equal bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from hashlib import sha256

from envlock.runtime.errors import InputError, IntegrityError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, BinaryIO

    from typing_extensions import Self

_MANIFEST = "manifest.json"
_VERSION = "envlock-checkpoint"
_KNOWN = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PIECE = 2**20


class Writer:
    """Adds members to a checkpoint that is being written to ``stream``."""

    def __init__(self, stream: BinaryIO) -> None:
        """Begin an archive without members."""
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED)
        self._members: dict[str, dict[str, object]] = {}

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the archive, whole or given up."""
        self._zip.close()

    def add(self, fill: Callable[[Any], object]) -> str:
        """Add what ``fill`` writes to the stream that it is given, and return the member's name."""
        name = str(len(self._members))
        with self._zip.open(zipfile.ZipInfo(name, _EPOCH), "w", force_zip64=True) as member:
            hashed = _Hashed(member)
            fill(hashed)
        self._members[name] = {"sha256": hashed.sha256.hexdigest(), "size": hashed.size}
        return name

    def end(self, manifest: Mapping[str, object]) -> None:
        """Add the manifest, which comes last."""
        whole = {**manifest, _VERSION: _KNOWN, "members": self._members}
        data = json.dumps(whole, sort_keys=True).encode("utf-8")
        self._zip.writestr(zipfile.ZipInfo(_MANIFEST, _EPOCH), data)
        self._zip.comment = sha256(data).hexdigest().encode("ascii")


class Reader:
    """A checkpoint every byte of which has been checked. Raises InputError, IntegrityError, OSError."""

    def __init__(self, stream: BinaryIO, where: str) -> None:
        """Check the archive in ``stream``; ``where`` names it in errors."""
        self._where = where
        try:
            self._zip = zipfile.ZipFile(stream)
            data = self._zip.read(_MANIFEST)
            self.sha256 = self._zip.comment.decode("ascii", "replace")
            if sha256(data).hexdigest() != self.sha256:
                raise self._damaged(_MANIFEST, self.sha256, sha256(data).hexdigest())
            self.manifest: dict[str, Any] = json.loads(data)
        except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, ValueError) as error:
            raise InputError("not a checkpoint, or not all of one", where=where, found=str(error)) from error
        if self.manifest.get(_VERSION) != _KNOWN:
            found = repr(self.manifest.get(_VERSION))
            raise InputError("unknown version", where=where, expected=str(_KNOWN), found=found)
        for name, member in self.manifest["members"].items():
            self._check(name, member["sha256"])

    def member(self, name: str) -> io.BytesIO:
        """Return the member's bytes, which can be sought in."""
        return io.BytesIO(self._zip.read(name))

    def _check(self, name: str, expected: str) -> None:
        found = sha256()
        try:
            with self._zip.open(name) as member:
                for piece in iter(lambda: member.read(_PIECE), b""):
                    found.update(piece)
        except (zipfile.BadZipFile, KeyError, EOFError) as error:
            raise self._damaged(name, expected, str(error)) from error
        if found.hexdigest() != expected:
            raise self._damaged(name, expected, found.hexdigest())

    def _damaged(self, name: str, expected: str, found: str) -> IntegrityError:
        return IntegrityError(
            "a checkpoint is damaged", where=f"{self._where}: {name}", expected=expected, found=found
        )


class _Hashed(io.RawIOBase):
    """A stream that hashes what passes through it."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream
        self.sha256 = sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self.sha256.update(piece)
        self.size += len(piece)
        self._stream.write(piece)
        return len(piece)
