"""Reading a wheel without trusting it (binary distribution format 1.x; PEP 427, PEP 491).

Rules kept here, beside those of :mod:`envlock.image.zip_archive`:

* The file name and the one ``.dist-info`` directory name the same distribution and version.
* ``Wheel-Version`` is 1.x. RECORD is well-formed, and every file but RECORD itself and its
  signatures has a hash there. The hashes are checked while a layer is written, when every byte is
  inflated anyway (:class:`envlock.image.record.Verifier`).
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Final, NamedTuple

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from envlock.image.record import RecordedHash, parse_record
from envlock.image.zip_archive import STORED, Member, read_members
from envlock.oci.deflate import Deflated, ReadAt, inflate, pieces
from envlock.runtime.errors import InputError

_LARGEST_WHOLE: Final = 64 << 20
_PLACEHOLDER: Final = b"#!python"


class WheelFile(NamedTuple):
    """A file of the wheel. ``recorded`` is None for RECORD and its signatures only."""

    name: str
    size: int
    executable: bool
    recorded: RecordedHash | None
    script: bytes | None = None
    """The whole content of a script that begins with ``#!python``, which installing rewrites."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelContents:
    """What installing needs to know. ``entry_points`` is the text of ``entry_points.txt``."""

    filename: str
    distribution: str
    """As the file name spells it."""
    dist_info: str
    root_is_purelib: bool
    entry_points: str
    files: tuple[WheelFile, ...]

    @property
    def data(self) -> str:
        """The directory of files for other places, ``{name}-{version}.data``."""
        return self.dist_info.removesuffix(".dist-info") + ".data"


class WheelReader:
    """An open wheel, whose directory has been checked."""

    def __init__(self, read: ReadAt, size: int, filename: str) -> None:
        """Read and check the directory. ``size`` is the wheel's, in bytes. Raises InputError."""
        self._read = read
        self.filename = filename
        self.members = {member.name: member for member in read_members(read, size, filename)}

    def where(self, name: str) -> str:
        """Return how errors name a file of this wheel."""
        return f"{self.filename}: {name}"

    def content(self, name: str) -> bytes:
        """Return a whole file. Raises InputError when it is absent, above 64 MiB or corrupt."""
        member = self.members.get(name)
        if member is None:
            raise InputError("not a wheel", where=self.filename, expected=name, found="no such file")
        if member.size > _LARGEST_WHOLE:
            raise InputError(
                "too large",
                where=self.where(name),
                expected=f"at most {_LARGEST_WHOLE} bytes",
                found=f"{member.size}",
            )
        return b"".join(self.pieces(name))

    def text(self, name: str) -> str:
        """Return a whole file as text. Raises InputError as :meth:`content`, and when it is not UTF-8."""
        try:
            return self.content(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                "not a wheel", where=self.where(name), expected="UTF-8", found=str(error)
            ) from error

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes; size and CRC-32 are checked at its end (InputError)."""
        stream = self.deflated(name)
        return self._stored(self.members[name]) if stream is None else inflate(stream)

    def deflated(self, name: str) -> Deflated | None:
        """Return a file's deflate stream, or None when the file is stored uncompressed."""
        member = self.members[name]
        if member.method == STORED:
            return None
        # By position: by name it takes twice as long, and there are 50,000.
        return Deflated(
            self._read, member.offset, member.compressed_size, member.size, member.crc, self.where(name)
        )

    def _stored(self, member: Member) -> Iterator[bytes]:
        crc = 0
        for piece in pieces(self._read, member.offset, member.size, self.where(member.name)):
            crc = zlib.crc32(piece, crc)
            yield piece
        if crc != member.crc:
            raise InputError(
                "corrupt data",
                where=self.where(member.name),
                expected=f"CRC-32 {member.crc:08x}",
                found=f"{crc:08x}",
            )


@contextmanager
def open_wheel(path: Path, filename: str) -> Iterator[WheelReader]:
    """Yield the wheel at ``path``, called ``filename`` in errors. Raises InputError."""
    with reading(path, filename) as (read, size):
        yield WheelReader(read, size, filename)


@contextmanager
def reading(path: Path, filename: str) -> Iterator[tuple[ReadAt, int]]:
    """Yield what reads a file, and its size in bytes. ``filename`` is its name in errors (InputError)."""
    try:
        stream = path.open("rb", buffering=0)
    except OSError as error:
        raise InputError(
            "cannot read a wheel", where=filename, found=os.strerror(error.errno or 0)
        ) from error
    with stream:
        descriptor = stream.fileno()

        def read_at(offset: int, length: int) -> bytes:
            return os.pread(descriptor, length, offset)

        yield read_at, os.fstat(descriptor).st_size


def read_contents(reader: WheelReader) -> WheelContents:
    """Return what ``reader``'s wheel holds. Raises InputError when it is not a proper wheel."""
    dist_info = _dist_info(reader)
    record = f"{dist_info}/RECORD"
    recorded = parse_record(reader.text(record), reader.where(record))
    metadata, entry_points = f"{dist_info}/METADATA", f"{dist_info}/entry_points.txt"
    if metadata not in reader.members:
        raise InputError("not a wheel", where=reader.filename, expected=metadata, found="no such file")
    unrecorded = {record, f"{record}.jws", f"{record}.p7s"}
    return WheelContents(
        filename=reader.filename,
        distribution=reader.filename.partition("-")[0],
        dist_info=dist_info,
        root_is_purelib=_root_is_purelib(reader, f"{dist_info}/WHEEL"),
        entry_points=reader.text(entry_points) if entry_points in reader.members else "",
        files=tuple(
            _file(reader, member, None if name in unrecorded else _required(reader, recorded, name))
            for name, member in reader.members.items()
        ),
    )


def wheel_record(reader: WheelReader) -> str:
    """Return the text of the wheel's RECORD. Raises InputError when it is not a proper wheel."""
    return reader.text(f"{_dist_info(reader)}/RECORD")


def _dist_info(reader: WheelReader) -> str:
    """Return the name of the one ``.dist-info`` directory, which must be the file name's."""
    try:
        name, version, _, _ = parse_wheel_filename(reader.filename)
    except InvalidWheelFilename as error:
        raise InputError("not a wheel's file name", where=reader.filename, found=str(error)) from error
    tops = {top for top, slash, _ in (m.partition("/") for m in reader.members) if slash}
    found = sorted(top for top in tops if top.endswith(".dist-info"))
    if len(found) != 1 or _identity(found[0]) != (name, version):
        raise InputError(
            "not a wheel",
            where=reader.filename,
            expected=f"one .dist-info directory, of {name} {version}",
            found=", ".join(found) or "none",
        )
    return found[0]


def _identity(dist_info: str) -> tuple[str, Version] | None:
    name, _, version = dist_info.removesuffix(".dist-info").partition("-")
    try:
        return canonicalize_name(name), Version(version)
    except InvalidVersion:
        return None


def _root_is_purelib(reader: WheelReader, name: str) -> bool:
    headers = HeaderParser().parsestr(reader.text(name))
    version = headers.get("Wheel-Version", "")
    if not version.strip().startswith("1."):
        raise InputError(
            "unknown wheel format", where=reader.where(name), expected="Wheel-Version 1.x", found=version
        )
    return bool(headers.get("Root-Is-Purelib", "").strip().lower() == "true")


def _required(reader: WheelReader, recorded: dict[str, RecordedHash], name: str) -> RecordedHash:
    found = recorded.get(name)
    if found is None:
        raise InputError("file without a hash in RECORD", where=reader.where(name))
    return found


def _file(reader: WheelReader, member: Member, recorded: RecordedHash | None) -> WheelFile:
    script = None
    if ".data/scripts/" in member.name and _begins_with(reader, member.name, _PLACEHOLDER):
        script = reader.content(member.name)
    return WheelFile(member.name, member.size, member.executable, recorded, script)


def _begins_with(reader: WheelReader, name: str, prefix: bytes) -> bool:
    return next(iter(reader.pieces(name)), b"").startswith(prefix)
