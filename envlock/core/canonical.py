"""Canonical JSON (RFC 8785), for digests that must not depend on who wrote the JSON.

Only what envlock hashes is accepted: objects with string keys, arrays, strings, booleans, null and
integers within ±(2^53 - 1). Fractions are refused rather than formatted: RFC 8785 wants ECMAScript's
number format, and no identity of envlock's contains one.
"""

import json

_MAX_SAFE_INTEGER = 2**53 - 1


def dumps(value: object) -> bytes:
    """Return the canonical UTF-8 bytes of ``value``. Raises TypeError for what JCS can't carry here."""
    return _encode(value).encode("utf-8")


def _encode(value: object) -> str:
    if value is None or isinstance(value, (bool, str)):
        # json escapes exactly what RFC 8785 section 3.2.2.2 escapes, as ensure_ascii is off.
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        if abs(value) > _MAX_SAFE_INTEGER:
            raise TypeError(f"integer {value} is outside the range that JSON carries exactly")
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_encode, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(_members(value)) + "}"
    raise TypeError(f"{type(value).__name__} has no canonical JSON form here")


def _members(value: dict[object, object]) -> list[str]:
    names = [key for key in value if isinstance(key, str)]
    if len(names) != len(value):
        raise TypeError("object keys must be strings")
    # RFC 8785 section 3.2.3 sorts by UTF-16 code units, which differs from code points above U+FFFF.
    names.sort(key=lambda name: name.encode("utf-16-be"))
    return [f"{_encode(name)}:{_encode(value[name])}" for name in names]
