"""Names of streams, experiments and other elements of a seed's path.

A name is non-empty text without ``/`` at either end (docs: seeds, version 1), so that elements such
as ``trial/0`` can hold one inside and joining a path with ``/`` never doubles it.
"""

from __future__ import annotations


def problem(name: object) -> str | None:
    """Return why ``name`` can't be an element of a seed's path, or None when it can."""
    if not isinstance(name, str):
        return f"expected text, found {type(name).__name__}"
    if not name:
        return "expected a name, found nothing"
    if name.startswith("/") or name.endswith("/"):
        return f"expected no / at either end, found {name!r}"
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return f"expected text that UTF-8 can carry, found {name!r}"
    return None
