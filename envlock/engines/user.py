"""Who a container's process is (OCI image-spec, config.md, "User"): a name or number, a group after ``:``."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from envlock.runtime.errors import InputError


@dataclass(frozen=True, slots=True)
class User:
    """Numeric user and group."""

    uid: int
    gid: int


def resolve(text: str, root: Path) -> User:
    """Return the numbers of ``text``, its names looked up in ``etc/passwd`` and ``etc/group`` of ``root``.

    Nothing means root, as in Docker. A user without a group gets its passwd entry's group, else 0.
    Raises InputError for a name that is not there.
    """
    name, _, group = text.partition(":")
    entry = _entry(root / "etc" / "passwd", name or "0")
    uid = _number(name or "0", entry, text)
    if not group:
        return User(uid, int(entry[3]) if entry and entry[3].isdigit() else 0)
    return User(uid, _number(group, _entry(root / "etc" / "group", group), text))


def _number(text: str, entry: tuple[str, ...] | None, whole: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    if entry is None:
        raise InputError(
            "no such user in the image",
            where=whole,
            expected="a user of its etc/passwd, or UID:GID",
            found=repr(text),
        )
    return int(entry[2])


def _entry(path: Path, key: str) -> tuple[str, ...] | None:
    """Return the fields of the line whose name or number is ``key``."""
    for line in _lines(path):
        fields = tuple(line.split(":"))
        if len(fields) > 3 and key in (fields[0], fields[2]) and fields[2].isdigit():  # noqa: PLR2004 - name, password, number, …
            return fields
    return None


def _lines(path: Path) -> list[str]:
    # A link may lead out of the image, to this machine's own users.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return []
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return []
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as stream:
        return stream.read().splitlines()
