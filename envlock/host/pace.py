"""Connections that give up an answer which comes too slowly, as cargo and curl's ``--speed-limit`` do.

A time limit between two pieces never ends a server that sends a byte a second. So as much waiting as that
limit allows must bring LEAST_RATE bytes a second on average; fewer are as good as none, headers included.
Only waiting counts: not what a server thinks before its first byte, nor what is done with what came.
"""

import io
import socket
import time
from http.client import HTTPResponse
from typing import Any, Final

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPSConnection

from envlock.host.resolver import ResolvingConnection

LEAST_RATE: Final = 100.0
"""Bytes a second: what a modem carries is enough for sixteen connections."""


class SlowError(TimeoutError):
    """An answer that comes at less than LEAST_RATE."""


class _Paced(io.RawIOBase):
    """Reads ``raw``, and looks at how fast it comes."""

    def __init__(self, raw: io.RawIOBase, span: float) -> None:
        self._raw = raw
        self._span = span
        self._begun = False
        self._waited = 0.0
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        asked = time.monotonic()
        count = self._raw.readinto(buffer)
        if self._begun:
            self._waited += time.monotonic() - asked
        self._begun = True
        self._received += count or 0
        if count and self._waited >= self._span:
            if self._received < LEAST_RATE * self._span:
                raise SlowError
            self._waited, self._received = 0.0, 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _PacedResponse(HTTPResponse):
    """An answer that is read at its connection's pace."""

    def __init__(self, sock: socket.socket, *more: Any, **named: Any) -> None:
        super().__init__(sock, *more, **named)
        span = sock.gettimeout()
        if span is not None:
            self.fp = io.BufferedReader(_Paced(self.fp.detach(), span))


class _HTTPConnection(ResolvingConnection):
    response_class = _PacedResponse


class _HTTPSConnection(ResolvingConnection, HTTPSConnection):
    response_class = _PacedResponse


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


POOLS: Final = {"http": _HTTPPool, "https": _HTTPSPool}
"""For a pool manager's ``pool_classes_by_scheme``."""
