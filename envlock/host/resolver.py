"""Host names looked up once, however many connections are opened to them.

glibc remembers no answer, so sixteen connections that begin at once ask sixteen times for one name, and a
name server that drops one of these packets stops its connection for five seconds.
"""

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

LIFETIME: Final = 60.0
"""Seconds for which an answer is believed; the system does not tell for how long the name server would."""
_NUMERIC: Final = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
Addresses = tuple[str, ...]
Find = Callable[[str, int], Addresses]


def system(host: str, port: int) -> Addresses:
    """Return the numeric addresses of ``host``, in the system's order. Raises socket.gaierror."""
    try:
        found = socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM)
    except UnicodeError as error:  # a part of the name is empty, or longer than 63 letters
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from error
    # With its interface, where it has one: an address of a link says nothing without.
    return tuple(dict.fromkeys(socket.getnameinfo(one[4], _NUMERIC)[0] for one in found))


class Resolver:
    """Remembers what ``find`` answered. Safe to use from many threads, which share one question."""

    def __init__(self, find: Find = system, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` counts seconds."""
        self._find = find
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: dict[str, tuple[float, Future[Addresses]]] = {}

    def addresses(self, host: str, port: int) -> Addresses:
        """Return the addresses of ``host``. Raises what ``find`` does, which is then asked anew."""
        with self._lock:
            now = self._clock()
            if host in self._asked and self._asked[host][0] + LIFETIME <= now:
                del self._asked[host]
            first = host not in self._asked
            _, answer = self._asked.setdefault(host, (now, Future()))
        if first:
            try:
                answer.set_result(self._find(host, port))
            except BaseException as error:  # noqa: BLE001  # who waits must not wait for ever
                answer.set_exception(error)
                with self._lock:
                    self._asked.pop(host, None)
        return answer.result()


_RESOLVER: Final = Resolver()


class ResolvingConnection(HTTPConnection):
    """A connection to an address that is known, or looked up by one for all."""

    def _new_conn(self) -> socket.socket:
        name = self._dns_host
        try:
            addresses = _RESOLVER.addresses(name, self.port)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        refused: Exception = NewConnectionError(self, "no address")
        for address in addresses:
            self._dns_host = address
            try:
                return super()._new_conn()
            except (ConnectTimeoutError, NewConnectionError) as error:
                refused = error
            finally:
                self._dns_host = name
        raise refused
