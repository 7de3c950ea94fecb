"""This process's own terminal and streams, joined to a container behind a socket."""

import os
import select
import socket
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from envlock.host.files import CHUNK


class Connection(Protocol):
    """The sending half of a stream socket, or of an SSH channel that stands for one."""

    def sendall(self, data: bytes, /) -> object:
        """Send all of ``data``."""
        ...

    def shutdown(self, how: int, /) -> object:
        """Close one direction."""
        ...


@contextmanager
def feeding(connection: Connection, source: int = 0) -> Iterator[None]:
    """Send what the descriptor ``source`` yields, in a thread, until its end or the block's.

    At its end the sending direction is closed, so that the reader sees the end too.
    """
    stopped, stop = os.pipe()
    thread = threading.Thread(target=_feed, args=(connection, source, stopped), daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(stop)
        thread.join()
        os.close(stopped)


def _feed(connection: Connection, source: int, stopped: int) -> None:
    try:
        while stopped not in select.select([source, stopped], [], [])[0]:
            piece = os.read(source, CHUNK)
            if not piece:
                connection.shutdown(socket.SHUT_WR)
                return
            connection.sendall(piece)
    except OSError:
        # The job closed its input, or this process has none: either way nobody waits for more.
        return


def write(data: bytes, descriptor: int) -> None:
    """Write all of ``data`` to a descriptor; a reader that went away is no error of the job's."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except BrokenPipeError:
        return


def is_terminal() -> bool:
    """Say whether a person sits at both ends: standard input and standard output are terminals."""
    return all(os.isatty(stream) for stream in (0, 1))


@contextmanager
def raw_terminal(descriptor: int = 0) -> Iterator[None]:
    """Hand each key on as it is for the block's time: the container's own terminal interprets them."""
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def flush() -> None:
    """Write out what Python still holds, before another writer uses the same descriptors."""
    sys.stdout.flush()
    sys.stderr.flush()
