"""One framework's part of a fingerprint, in a process of its own (``python -m …probe SUITE``).

What is found goes to the standard output that the process began with, one JSON array a line:

- ``["framework", version, list, kernels]`` once the framework is imported;
- ``["at", operation]`` before an operation, so that a crash names it;
- ``["hash", operation, hash]`` or ``["absent", operation, error's class]`` after it;
- ``["failed", text]`` where the framework can't be imported; ``["end"]``.

Whatever frameworks print goes to standard error. Each operation is computed twice, the second time
after all others: what differs then is not stable on this host. One that took longer than a second is
not repeated.
"""

from __future__ import annotations

import json
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from envlock.runtime.fingerprint.suites.suite import Named, Suite

_LONGEST_REPEATED = 1.0
_LONGEST_TEXT = 200


class Channel:
    """Where the lines go: a descriptor that nothing else writes to."""

    def __init__(self) -> None:
        """Take standard output over; from now on it is standard error."""
        self._descriptor = os.dup(1)
        os.dup2(2, 1)

    def tell(self, *fields: object) -> None:
        """Write one line, whole."""
        data = (json.dumps(fields) + "\n").encode("ascii")
        while data:
            data = data[os.write(self._descriptor, data) :]


def main(suite: str) -> None:
    """Run the suite of the module ``suite``."""
    import warnings
    from importlib import import_module

    warnings.simplefilter("ignore")
    channel = Channel()
    try:
        made: Suite = import_module(f"envlock.runtime.fingerprint.suites.{suite}").SUITE()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        channel.tell("failed", f"{type(error).__name__}: {error}"[:_LONGEST_TEXT])
        return
    channel.tell("framework", made.version, made.VERSION, _kernels(made))
    repeated = [one for one in made.operations() if _hash(channel, made, one) < _LONGEST_REPEATED]
    for one in repeated:
        _hash(channel, made, one)
    channel.tell("end")


def _kernels(suite: Suite) -> str:
    try:
        return suite.kernels()
    except Exception as error:  # noqa: BLE001 - a private name that moved costs one fact
        return type(error).__name__


def _hash(channel: Channel, suite: Suite, named: Named) -> float:
    """Compute and tell of one operation; return the seconds that it took."""
    name, operation = named
    channel.tell("at", name)
    begun = time.monotonic()
    try:
        found = suite.hashed(operation)
    except Exception as error:  # noqa: BLE001 - an operation of another version, or one that is refused
        channel.tell("absent", name, type(error).__name__)
    else:
        channel.tell("hash", name, found)
    return time.monotonic() - begun


def _leave() -> NoReturn:
    # Without the frameworks' own ends: threads and allocators at exit have crashed and hung before.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
    _leave()
