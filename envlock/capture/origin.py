"""Where the source of a locally built or editable install stands: its commit, and whether it differs.

Facts: ``vcs``, ``commit``, ``dirty`` (``true`` or ``false``), ``tree`` (as :mod:`envlock.capture.project`
hashes it) and ``url`` of the remote without credentials. A local directory is read as it is now: what an
ordinary install copied from it may have been older. Its path says who, not what, and is no fact.
"""

from collections.abc import Mapping
from pathlib import Path

from envlock.capture import project
from envlock.lock.model import Pairs


def read(directory: Path, environ: Mapping[str, str]) -> Pairs:
    """Return the facts of a source directory, sorted; none where git knows nothing of it."""
    found, _ = project.read(directory, environ)
    if found is None or found.commit is None:
        return ()
    facts = {
        "vcs": "git",
        "commit": found.commit,
        "dirty": "true" if found.dirty else "false",
        "tree": None if found.tree is None else str(found.tree),
        "url": found.remote,
    }
    return tuple(sorted((name, value) for name, value in facts.items() if value is not None))
