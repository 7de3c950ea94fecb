"""Which package database the captured system has."""

from dataclasses import replace
from pathlib import Path

from envlock.capture import packages_apk, packages_dpkg, packages_rpm
from envlock.capture.packages import Database, Unmanaged, merged
from envlock.capture.packages_rpm import Ask
from envlock.host.store import Store
from envlock.lock.model import Gap
from envlock.runtime.errors import UnreachableError

_NONE = (
    "this system has no dpkg, rpm or apk database: the base is made of loose files, and no package or "
    "checksum of them is known"
)


def load(
    root: Path = Path("/"), store: Store | None = None, rpm: Ask | None = None
) -> tuple[Database, tuple[Gap, ...]]:
    """Read the first database below ``root`` that has packages: dpkg, apk, rpm. Else nothing is owned.

    ``store`` is what remembers the checksums of packages' files that stay as they are, ``rpm`` what that
    program says, where it was asked before.
    In this order, since Debian and Alpine package the program rpm, whose database is then empty.
    """
    for database in (packages_dpkg.load(root), packages_apk.load(root)):
        if database is not None and database.packages:
            return replace(database, store=store), ()
    try:
        found = packages_rpm.load(root, rpm)
    except UnreachableError as error:
        reason = f"the rpm database can't be read ({error.what}), so the base is made of loose files"
        return _unmanaged(root, reason)
    return (replace(found, store=store), ()) if found is not None else _unmanaged(root, _NONE)


def _unmanaged(root: Path, reason: str) -> tuple[Database, tuple[Gap, ...]]:
    return Unmanaged(root=root, aliases=merged(root)), (Gap(subject="base", reason=reason),)
