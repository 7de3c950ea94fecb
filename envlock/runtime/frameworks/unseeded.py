"""Seeds for what asks the operating system for one: child ``gen/<ordinal>`` of a library's stream.

The ordinal counts within the process and the stream; a new process begins anew.
"""

from __future__ import annotations

from _thread import allocate_lock

_ordinals: dict[str, int] = {}
_lock = allocate_lock()


def entropy(stream: str, bits: int) -> int:
    """Return the next ``bits`` bits (a multiple of 8, at most 256) of ``stream`` for this process."""
    from envlock.runtime import frameworks, identity, spool

    with _lock:
        ordinal = _ordinals.get(stream, 0)
        _ordinals[stream] = ordinal + 1
    value = frameworks.take(stream, bits, (f"gen/{ordinal}",))
    if identity.is_listed():
        spool.report_generator(identity.label(), stream, ordinal, value)
    return value


def restart(stream: str) -> None:
    """Count from 0 again: this is another process now."""
    _ordinals[stream] = 0


def ordinals() -> dict[str, int]:
    """Return how many seeds each stream has given in this process."""
    return dict(_ordinals)


def resume(found: dict[str, int]) -> None:
    """Count on from what :func:`ordinals` returned in the run that goes on here."""
    _ordinals.clear()
    _ordinals.update(found)
