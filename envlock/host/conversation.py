"""A program that answers requests one after the other, each way a length of four bytes and that many."""

import os
import struct
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Final

from envlock.runtime.errors import UnreachableError

_LENGTH: Final = struct.Struct("<I")


class Conversation:
    """One running program. Not for two threads at a time."""

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str]) -> None:
        """Start ``argv``, whose messages nobody reads. Raises UnreachableError when it can't be started."""
        self._name = argv[0]
        try:
            self._process = subprocess.Popen(
                list(argv),
                env=dict(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise UnreachableError(
                "cannot start", where=self._name, found=os.strerror(error.errno or 0)
            ) from error

    def ask(self, request: bytes) -> bytes:
        """Return the answer. Raises UnreachableError when the program ended without one."""
        self.send(request)
        return self.receive()

    def send(self, request: bytes) -> None:
        """Ask, and have the answer later: the next :meth:`receive`. Raises as :meth:`ask`."""
        try:
            self._requests.write(_LENGTH.pack(len(request)) + request)
            self._requests.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def receive(self) -> bytes:
        """Return the answer to the request that was sent. Raises as :meth:`ask`."""
        return self._read(_LENGTH.unpack(self._read(_LENGTH.size))[0])

    def close(self) -> None:
        """End the program, which has no request in hand, by the end of its input."""
        with suppress(BrokenPipeError):  # it ended with a request half read
            self._requests.close()
        self._answers.close()
        self._process.wait()

    def _read(self, size: int) -> bytes:
        data = self._answers.read(size)
        if len(data) < size:
            raise self._ended()
        return data

    def _ended(self) -> UnreachableError:
        return UnreachableError("a program ended too early", where=self._name)

    @property
    def _requests(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101 # a pipe, as it was started
        return self._process.stdin

    @property
    def _answers(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 # as above
        return self._process.stdout
