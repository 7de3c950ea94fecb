"""The content-addressed store: wheels, base blobs and layers by SHA-256, on this machine.

Rules kept here:

* A name under ``blobs/sha256`` appears only by rename of a file whose digest was checked.
* A hit is never trusted by its name: :meth:`Store.find` hashes the bytes, or knows that it hashed them
  and that the file has not changed since (:mod:`envlock.host.memory`), or was told so by who wrote it
  (:meth:`Store.vouch`). A blob that does not match is
  removed and counts as absent, so a truncated or altered entry is made anew, never used.
* Facts about a blob (an inflated digest, a file list) are kept as small JSON values under
  ``facts/<kind>``, whose key must contain every input that they depend on. Each is sealed with its key:
  one that was damaged or changed places is as good as lost, which costs time and nothing else.
* A fact's time of modification is its last use, and through the fact that remembers a blob's hash also
  the blob's. Whoever uses the store holds a share in its lock (:meth:`Store.used`), so that pruning
  (:mod:`envlock.host.cache`) takes nothing away under a running command.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, cast

from envlock.core.digest import Digest
from envlock.host.files import CHUNK, atomic_write, copy, file_digest
from envlock.host.home import home_directory
from envlock.host.locking import Lease
from envlock.host.memory import Memory
from envlock.host.observation import Clock
from envlock.runtime.errors import InputError, IntegrityError, UnreachableError

_WHOLE = "whole"


def default_root(environ: Mapping[str, str]) -> Path:
    """Return ``$ENVLOCK_CACHE``, else ``$XDG_CACHE_HOME/envlock``, else ``~/.cache/envlock``."""
    if chosen := environ.get("ENVLOCK_CACHE"):
        return Path(chosen)
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else home_directory(environ) / ".cache") / "envlock"


class HashingWriter:
    """A write-only stream that hashes and counts what passes through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Write to ``stream``."""
        self._stream = stream
        self._state = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write all of ``data``."""
        self._state.update(data)
        self.size += len(data)
        return self._stream.write(data)

    @property
    def digest(self) -> Digest:
        """The SHA-256 of everything written so far."""
        return Digest(self._state.hexdigest())


@dataclass(frozen=True, slots=True)
class Store:
    """A store rooted at a directory, which is made on the first write."""

    root: Path
    clock: Clock = field(default=time.time_ns, compare=False)
    """Decides whether a file was left alone long enough for its status to be believed."""
    anew: bool = field(default=False, compare=False)
    """Believe nothing that is remembered of files: hash them, and remember that."""

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep others from pruning the store during the block, and wait for one who does."""
        try:
            lease = Lease(self.lock)
        except OSError:  # a store that can't be written can't be pruned either
            yield
            return
        try:
            yield
        finally:
            lease.end()

    @property
    def lock(self) -> Path:
        """The file that users of the store share and pruning has alone."""
        return self.root / ".lock"

    def path(self, digest: Digest) -> Path:
        """Return where the blob with this digest is kept, whether or not it is there."""
        return self.root / "blobs" / "sha256" / digest.hex

    def find(self, digest: Digest) -> Path | None:
        """Return the blob's path when it is there with the right bytes; remove it when they are wrong."""
        path = self.path(digest)
        if not path.is_file():
            return None
        if self.has(path, digest):
            return path
        path.unlink(missing_ok=True)
        return None

    def has(self, file: Path, digest: Digest) -> bool:
        """Tell whether ``file``, in the store or elsewhere, has the bytes with this digest.

        They are hashed, unless that was done before and the file has not changed since.
        """
        path = str(file.absolute())
        with self.memory(_WHOLE, path) as memory:
            return memory.answer("sha256", [path], lambda: file_digest(file).hex) == digest.hex

    def vouch(self, digest: Digest) -> None:
        """Remember a blob that this process or a worker of it has written since it began, without hashing it.

        Its bytes were hashed before it got its name. What is seen of it now is believed though it is not
        settled: that nobody changed it in the tick in which it got the name is taken for granted.
        """
        path = str(self.path(digest).absolute())
        with self.memory(_WHOLE, path) as memory:
            memory.hold("sha256", replace(memory.observe([path]), settled=True), digest.hex)

    @contextmanager
    def writing(self, expected: Digest | None = None) -> Iterator[HashingWriter]:
        """Yield a stream whose bytes become a blob at the end of the block.

        With ``expected``, bytes of another digest are discarded and IntegrityError is raised.
        """
        incoming = self.root / "incoming" / f"{os.getpid()}-{os.urandom(8).hex()}"
        final: Path | None = None
        try:
            with atomic_write(incoming) as stream:
                writer = HashingWriter(stream)
                yield writer
                if expected is not None and writer.digest != expected:
                    raise IntegrityError(
                        "wrong content",
                        expected=str(expected),
                        found=f"{writer.digest} ({writer.size} bytes)",
                    )
            final = self.path(writer.digest)
            final.parent.mkdir(parents=True, exist_ok=True)
            os.replace(incoming, final)
        finally:
            if final is None:
                incoming.unlink(missing_ok=True)

    def add_file(self, source: Path, expected: Digest | None = None) -> Digest:
        """Copy a file in, unless the ``expected`` blob is here already, and return its digest."""
        if expected is not None and self.find(expected) is not None:
            return expected
        with source.open("rb") as stream, self.writing(expected) as writer:
            while piece := stream.read(CHUNK):
                writer.write(piece)
        return writer.digest

    def copy_out(self, digest: Digest, target: Path) -> bool:
        """Copy a blob to ``target``, unless its bytes are there already; False when it is not here.

        A copy, no hard link: damage to the one must not reach the other.
        """
        if target.is_file() and self.has(target, digest):
            return True
        source = self.find(digest)
        if source is None:
            return False
        with source.open("rb") as stream, atomic_write(target) as made:
            copy(stream, made)
        return True

    def fact(self, kind: str, key: str) -> dict[str, object] | None:
        """Return a remembered fact, or None when it is absent or not as it was written."""
        place = self._fact_path(kind, key)
        try:
            seal, _, fact = place.read_bytes().partition(b"\n")
        except OSError:
            return None
        if seal != _seal(place, fact):
            return None
        with suppress(OSError):
            os.utime(place)
        return cast("dict[str, object]", json.loads(fact))

    def remember(self, kind: str, key: str, value: Mapping[str, object]) -> None:
        """Keep a fact. ``key`` may be any text; its hash names the file."""
        place, fact = self._fact_path(kind, key), json.dumps(dict(value)).encode()
        with atomic_write(place, durable=False) as stream:
            stream.write(b"\n".join((_seal(place, fact), fact)))

    @contextmanager
    def memory(self, kind: str, key: str) -> Iterator[Memory]:
        """Yield what is remembered of files under ``key``, and keep what the block adds to it.

        A store that can't be written remembers nothing, which is no error.
        """
        known = None if self.anew else self.fact(kind, key)
        memory = Memory(f"{kind} {key}", known or {}, self.clock)
        yield memory
        if memory.changed:
            with suppress(InputError, UnreachableError, OSError):
                self.remember(kind, key, memory.kept)

    def last_use(self, digest: Digest) -> float:
        """Return when the blob, which is there, was made or last found, in seconds since 1970."""
        path = self.path(digest)
        times = [path.stat().st_mtime]
        with suppress(OSError):
            times.append(self._fact_path(_WHOLE, str(path.absolute())).stat().st_mtime)
        return max(times)

    def _fact_path(self, kind: str, key: str) -> Path:
        return self.root / "facts" / kind / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def _seal(place: Path, fact: bytes) -> bytes:
    """Return a hash of a fact and of the name that it goes by: damage, and another's fact, are no fact."""
    name = f"{place.parent.name}/{place.name}\n".encode()
    return hashlib.sha256(name + fact).hexdigest().encode()
