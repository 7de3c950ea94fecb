"""Which code runs: the commit of the working directory, when it is one of git's."""

from pathlib import Path

from envlock.host import process
from envlock.runtime.errors import UnreachableError

# The full hash, with -dirty when a tracked file was changed; tags never stand in for it.
_DESCRIBE = ("describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")


def commit(work: Path) -> str | None:
    """Return the commit that ``work`` stands on; None without git or outside a repository."""
    try:
        done = process.run(("git", "-C", str(work), *_DESCRIBE), timeout=30)
    except UnreachableError:
        return None
    return done.stdout.decode().strip() if done.exit_code == 0 else None
