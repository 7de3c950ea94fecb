"""Where an image's files lie: a directory or a tar, each opened by name; and streams that verify."""

import hashlib
import io
import os
import posixpath
import tarfile
from pathlib import Path
from typing import IO, Any, Protocol, cast

from envlock.core.digest import Digest
from envlock.runtime.errors import InputError, IntegrityError

_BUFFER = 1 << 18


class Source(Protocol):
    """Files by name. ``where`` names the whole in errors."""

    where: str

    def has(self, name: str) -> bool:
        """Say whether there is a regular file ``name``."""
        ...

    def size(self, name: str) -> int:
        """Return the file's bytes. Raises InputError when it is not there."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of the file, which the caller closes. Raises InputError when it is not there."""
        ...


class DirectorySource:
    """Files below a directory."""

    def __init__(self, directory: Path) -> None:
        """Read below ``directory``."""
        self._directory = directory
        self.where = str(directory)

    def has(self, name: str) -> bool:
        """Say whether there is a regular file ``name``."""
        return (self._directory / name).is_file()

    def size(self, name: str) -> int:
        """Return the file's bytes."""
        with self.open(name) as stream:
            return os.fstat(stream.fileno()).st_size

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of the file."""
        try:
            return (self._directory / name).open("rb")
        except OSError as error:
            raise _absent(self.where, name) from error


class ArchiveSource:
    """Members of an uncompressed tar. Each :meth:`open` reads through a descriptor of its own."""

    def __init__(self, file: Path) -> None:
        """List the members of ``file``. Raises InputError when it is no tar."""
        self._file = file
        self.where = str(file)
        try:
            self._places = _member_places(file)
        except tarfile.TarError as error:
            raise InputError(
                "not an image archive", where=self.where, expected="an uncompressed tar", found=str(error)
            ) from error
        except OSError as error:
            found = os.strerror(error.errno or 0)
            raise InputError("cannot read an image", where=self.where, found=found) from error

    def has(self, name: str) -> bool:
        """Say whether there is a regular file ``name``."""
        return name in self._places

    def size(self, name: str) -> int:
        """Return the file's bytes."""
        return self._place(name)[1]

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of the file."""
        offset, size = self._place(name)
        return io.BufferedReader(_Part(self._file, offset, size), _BUFFER)

    def _place(self, name: str) -> tuple[int, int]:
        if name not in self._places:
            raise _absent(self.where, name)
        return self._places[name]


def _member_places(file: Path) -> dict[str, tuple[int, int]]:
    """Return offset and size of each regular member."""
    places: dict[str, tuple[int, int]] = {}
    links: dict[str, str] = {}
    with tarfile.open(file, "r:") as archive:
        for member in archive:
            name = posixpath.normpath(member.name)
            if member.isreg() and not member.issparse():
                places[name] = (member.offset_data, member.size)
            elif member.issym():
                links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
            elif member.islnk():
                links[name] = posixpath.normpath(member.linkname)
    # Docker before 25 wrote a layer that comes twice as a link to the first.
    places.update((name, places[target]) for name, target in links.items() if target in places)
    return places


class _Part(io.RawIOBase):
    """``size`` bytes of a file from ``offset`` on."""

    def __init__(self, file: Path, offset: int, size: int) -> None:
        self._stream = file.open("rb", buffering=0)
        self._stream.seek(offset)
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self._left]
        count = self._stream.readinto(view) or 0
        self._left -= count
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def verified(stream: IO[bytes], digest: Digest, size: int) -> IO[bytes]:
    """Return a blob's ``stream``, hashed while it is read; its end raises IntegrityError for wrong bytes."""
    return cast("IO[bytes]", io.BufferedReader(_Verified(stream, digest, size), _BUFFER))


class _Verified(io.RawIOBase):
    """What :func:`verified` reads."""

    def __init__(self, stream: IO[bytes], digest: Digest, size: int) -> None:
        """Read ``stream``, which must have ``size`` bytes of ``digest``."""
        self._stream = stream
        self._digest = digest
        self._size = size
        self._seen = 0
        self._state = hashlib.sha256()

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes, and check the whole when there are no more."""
        view = memoryview(buffer)
        count: int = self._stream.readinto(view)  # type: ignore[attr-defined] # every binary file has it
        self._state.update(view[:count])
        self._seen += count
        if count == 0 and view:
            self._check()
        return count

    def close(self) -> None:
        """Close the stream below."""
        self._stream.close()
        super().close()

    def _check(self) -> None:
        found = Digest(self._state.hexdigest())
        if (found, self._seen) != (self._digest, self._size):
            raise IntegrityError(
                "a blob has other bytes than its name says",
                expected=f"{self._digest} ({self._size} bytes)",
                found=f"{found} ({self._seen} bytes)",
            )


def _absent(where: str, name: str) -> InputError:
    return InputError("not a complete image", where=where, expected=name, found="no such file")
