r"""The job's own code: its git commit, whether it differs from it, and a hash of the tree as it lies.

The tree hash is the SHA-256 of one line a file, sorted by path bytes: ``<kind> <sha256> <path>\0``,
kind ``100644``, ``100755`` or ``120000`` (a link: the hash is of its target), as git's own modes. Files
are those that git tracks and those that it would add; lockfiles are left out, or writing one would
change the project that it describes. git is told to write nothing (GIT_OPTIONAL_LOCKS=0).
"""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from envlock.core.digest import Digest
from envlock.core.redaction import redacted
from envlock.host import process
from envlock.host.files import file_digest
from envlock.lock.model import Gap, Project
from envlock.runtime.errors import UnreachableError

_LOCKFILE = re.compile(rb"(^|/)pylock(\.[^./]+)?\.toml$")
_SCP_USER = re.compile(r"^(?!git@)[^/@:]+@(?=[^/]+:)")
_STATUS = (
    *(
        "status",
        "--porcelain=v2",
        "--branch",
        "--no-ahead-behind",
        "-z",
        "--no-renames",
        "--untracked-files=all",
    ),
    *("--", "."),
)
_COMMIT = b"# branch.oid "
# Fields before the path, by the kind of entry (git-status(1), "Porcelain Format Version 2").
_BEFORE_PATH = {b"1": 8, b"u": 10, b"?": 1}
_SECONDS = 120.0


def read(directory: Path, environ: Mapping[str, str]) -> tuple[Project | None, tuple[Gap, ...]]:
    """Return the project in ``directory``; where git can't tell, None and a gap that says why."""
    try:
        status = _git(directory, environ, *_STATUS)
        if status is None:
            return None, (
                Gap(
                    subject="project",
                    reason="no git work tree that git accepts, so no commit tells which code ran",
                ),
            )
        listed = (
            _git(directory, environ, "ls-files", "-z", "--cached", "--others", "--exclude-standard") or b""
        )
        remote = _git(directory, environ, "config", "--get", "remote.origin.url") or b""
    except UnreachableError:
        return None, (Gap(subject="project", reason="git is not installed, so no commit was captured"),)
    entries = status.split(b"\0")
    commit = next((one.removeprefix(_COMMIT) for one in entries if one.startswith(_COMMIT)), b"(initial)")
    project = Project(
        commit=commit.decode() if commit != b"(initial)" else None,
        dirty=any(map(_is_change, entries)),
        tree=tree(directory, listed.split(b"\0")),
        remote=_public(remote.decode("utf-8", "replace").strip()),
    )
    return project, ()


def _is_change(entry: bytes) -> bool:
    """Tell whether an entry of git's status is about a file that counts."""
    before = _BEFORE_PATH.get(entry[:1])
    return before is not None and not _LOCKFILE.search(entry.split(b" ", before)[before])


def tree(directory: Path, names: list[bytes]) -> Digest:
    """Return the tree hash of the files ``names`` (bytes, relative); names that are gone are skipped."""
    state = hashlib.sha256()
    for name in sorted(set(names)):
        path = os.path.join(os.fsencode(directory), name)
        if not name or _LOCKFILE.search(name) or not os.path.lexists(path):
            continue
        if os.path.islink(path):
            kind, digest = "120000", hashlib.sha256(os.readlink(path)).hexdigest()
        elif os.path.isfile(path):
            kind = "100755" if os.access(path, os.X_OK) else "100644"
            digest = file_digest(Path(os.fsdecode(path))).hex
        else:
            continue  # a submodule: its commit is in the parent's commit
        state.update(f"{kind} {digest} ".encode() + name + b"\0")
    return Digest(state.hexdigest())


def _git(directory: Path, environ: Mapping[str, str], *arguments: str) -> bytes | None:
    """Return what git prints, or None when it says no."""
    env = {**environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    done = process.run(["git", "-C", str(directory), *arguments], env=env, timeout=_SECONDS)
    return done.stdout if done.exit_code == 0 else None


def _public(remote: str) -> str | None:
    """Return the remote without credentials or user; None for a path of this machine."""
    if not remote or remote.startswith(("/", ".", "~", "file:")):
        return None
    return redacted(_SCP_USER.sub("", remote))
