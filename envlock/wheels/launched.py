"""Launchers that got options in their first line after the installation, as pipx gives them ``-E``.

No wheel has launchers, so the distribution is still the index's wheel. Any other change of one counts.
"""

import hashlib
import posixpath
from dataclasses import replace

from envlock.lock.environment import InstalledDistribution
from envlock.wheels.launcher import as_installed
from envlock.wheels.members import installed
from envlock.wheels.record import encoded


def without_launchers(distribution: InstalledDistribution) -> InstalledDistribution:
    """Return the distribution without such launchers among its ``modified``."""
    if not any(map(_is_script, distribution.modified)):
        return distribution
    recorded = {entry.path: entry.sha256 for entry in distribution.record}
    modified = tuple(
        path
        for path in distribution.modified
        if not (_is_script(path) and _as_installed(distribution, path) == recorded.get(path, ""))
    )
    digest = distribution.modified_digest if modified else None
    return replace(distribution, modified=modified, modified_digest=digest)


def _is_script(path: str) -> bool:
    return posixpath.basename(posixpath.dirname(path)) == "bin"


def _as_installed(distribution: InstalledDistribution, path: str) -> str | None:
    try:
        script = as_installed(installed(distribution, path).read_bytes())
    except OSError:
        return None
    return encoded(hashlib.sha256(script).digest())
