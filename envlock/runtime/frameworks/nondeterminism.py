"""Recording the operations that torch warns of: it says which one, the stack says from where.

A job that silences warnings silences torch's too. So a filter of ours stays in front of the user's,
which lets these warnings through to us; whether they are shown, or raised, is then decided by the
user's own filters, as Python does it.
"""

from __future__ import annotations

import re
import sys
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WARNING = re.compile(r"(\S+) does not have a deterministic implementation")
_OURS = ("always", _WARNING, UserWarning, None, 0)
_SHOW = "_showwarnmsg"
_CHANGING = ("filterwarnings", "simplefilter", "resetwarnings")
_told: set[tuple[str, str]] = set()
_shown: set[tuple[str, str, int]] = set()


def record_warnings() -> None:
    """Tell the record of each operation, and where the job called it."""
    # The C code calls this one for every warning that is let through; it has no public name.
    show: Any = getattr(warnings, _SHOW)
    if hasattr(show, "__wrapped__"):
        return

    def recorded(message: Any) -> None:
        found = _WARNING.match(str(message.message))
        if found is None or _tell(found.group(1), message):
            show(message)

    recorded.__wrapped__ = show  # type: ignore[attr-defined]  # marks it as ours
    setattr(warnings, _SHOW, recorded)
    for name in _CHANGING:
        _keep_in_front(name)
    _to_the_front()


def _tell(operation: str, message: Any) -> bool:
    """Tell the record; return whether the user is to see the warning. Raises it where that is asked for."""
    from envlock.runtime import callers, spool

    where = callers.place(sys._getframe(2))  # noqa: SLF001 - no other way tells who called
    if (operation, where) not in _told:
        _told.add((operation, where))
        spool.report("nondeterministic", operation, where)
    action = _users_action(message)
    if action == "error":
        raise message.message
    place = (str(message.message), message.filename, message.lineno)
    seen = place in _shown
    _shown.add(place)
    return action == "always" or (action != "ignore" and not seen)


def _users_action(message: Any) -> str:
    """Return what the user's filters say, by the rule of the warnings module."""
    text, category = str(message.message), message.category
    module = message.filename.rpartition("/")[2].partition(".")[0]
    for action, pattern, kind, place, line in warnings.filters:
        applies = issubclass(category, kind) and line in (0, message.lineno)
        if pattern is not _WARNING and applies and _matches(pattern, text) and _matches(place, module):
            return str(action)
    return "default"


def _matches(pattern: Any, text: str) -> bool:
    """Whether a filter's pattern is for ``text``; the interpreter's first filters hold plain text."""
    if pattern is None or isinstance(pattern, str):
        return pattern in (None, text)
    return bool(pattern.match(text))


def _keep_in_front(name: str) -> None:
    from envlock.runtime import processes

    change = getattr(warnings, name)

    def changed(*args: Any, **kwargs: Any) -> None:
        change(*args, **kwargs)
        _to_the_front()

    processes.replace(warnings, name, change, changed)


def _to_the_front() -> None:
    filters: Any = warnings.filters
    if not filters or filters[0] is not _OURS:
        filters[:] = [_OURS, *(one for one in filters if one is not _OURS)]
