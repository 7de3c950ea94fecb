"""Handing the signals that end envlock on to the job that it waits for."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@contextmanager
def forwarded(send: Callable[[int], None]) -> Iterator[None]:
    """Call ``send`` with the number of each signal that would end this process, for the block's time.

    Only the main thread may set handlers (``signal.signal``); in another one nothing is forwarded,
    since signals never reach it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [(number, signal.getsignal(number)) for number in ENDING]
    try:
        for number in ENDING:
            signal.signal(number, lambda received, _: send(received))
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
