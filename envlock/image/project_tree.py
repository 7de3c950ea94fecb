"""What of a project's own code travels: all of it, less what must not.

Rules kept here (docs/image.md, "A project's own code"):

* What ``.gitignore`` files leave out is left out, as git reads them (gitignore(5)), whether or not git is
  there; ``.envlockignore`` at the top, in the same form, has the last word. The user's and the system's own
  ignore rules do not count: they would make two machines pack two images.
* Never packed, whatever the rules say: version control, caches, virtual environments, envlock's own files
  and locks, and secrets (:mod:`envlock.capture.confidential`).
* A link to a file inside the tree becomes that file. Links out of it, to directories or to nothing, and what
  is no file, are refused, all of them in one error.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

from envlock.capture.confidential import is_confidential
from envlock.capture.source_tree import CACHES, ENVIRONMENT_MARKS, MOST_BYTES, MOST_FILES, VERSION_CONTROL
from envlock.host.files import file_digest
from envlock.image.project import ProjectFile, ProjectTree
from envlock.runtime.errors import InputError

IGNORE: Final = ".envlockignore"
_GITIGNORE: Final = ".gitignore"
_NEVER: Final = VERSION_CONTROL | CACHES | {".envlock"}
_LOCKFILE: Final = re.compile(r"pylock(\.[^.]+)?\.toml")
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class _Rules:
    """The ignore rules in force in a directory: (directory they are relative to, rules), the last first."""

    stack: tuple[tuple[str, GitIgnoreSpec], ...]

    def below(self, directory: Path, name: str) -> "_Rules":
        """Return the rules for ``directory``, called ``name`` (with its slash) in the tree."""
        found = _read(directory / _GITIGNORE)
        # What .envlockignore says at the top stays the first that is asked.
        return self if found is None else _Rules((*self.stack[:1], (name, found), *self.stack[1:]))

    def leave_out(self, name: str) -> bool:
        for top, spec in self.stack:
            said = spec.check_file(name.removeprefix(top)).include
            if said is not None:
                return said
        return False


def read(directory: Path) -> ProjectTree:
    """Return the tree of the project in ``directory``.

    Raises InputError that names whatever can't be packed, or when there is too much.
    """
    own = _read(directory / IGNORE) or GitIgnoreSpec.from_lines(())
    faults: list[str] = []
    files: list[ProjectFile] = []
    root = os.path.realpath(directory)
    for path, name in _walk(directory, "", _Rules((("", own),))):
        fault = _fault(path, root)
        if fault is not None:
            faults.append(f"{name} {fault}")
            continue
        files.append(_described(path, name))
        if len(files) > MOST_FILES:
            raise _too_much(directory, f"{MOST_FILES} files")
    if faults:
        raise _refused(directory, faults)
    tree = ProjectTree(files=tuple(sorted(files, key=lambda one: one.name)))
    if tree.size > MOST_BYTES:
        raise _too_much(directory, f"{MOST_BYTES >> 30} GiB")
    return tree


def _walk(directory: Path, prefix: str, rules: _Rules) -> Iterator[tuple[Path, str]]:
    """Yield each file to pack with its name in the tree."""
    rules = rules.below(directory, prefix)
    with os.scandir(directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        name, path = f"{prefix}{entry.name}", Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if not (entry.name in _NEVER or _is_environment(path) or rules.leave_out(f"{name}/")):
                yield from _walk(path, f"{name}/", rules)
        elif not (_is_own(name) or rules.leave_out(name) or is_confidential(path)):
            yield path, name


def _is_environment(directory: Path) -> bool:
    return any((directory / mark).exists() for mark in ENVIRONMENT_MARKS)


def _is_own(name: str) -> bool:
    return name == IGNORE or _LOCKFILE.fullmatch(name.rpartition("/")[2]) is not None


def _read(file: Path) -> GitIgnoreSpec | None:
    try:
        return GitIgnoreSpec.from_lines(file.read_text("utf-8", "surrogateescape").splitlines())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError("cannot read ignore rules", where=file.name, found=str(error)) from error


def _fault(path: Path, root: str) -> str | None:
    """Return why a file can't be packed, or None."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return "is a link to nothing" if path.is_symlink() else "can't be read"
    if path.is_symlink():
        if not os.path.realpath(path).startswith(f"{root}/"):
            return "is a link out of the tree"
        if stat.S_ISDIR(mode):
            return "is a link to a directory"
        if is_confidential(Path(os.path.realpath(path))):
            return "is a link to a secret"
    return None if stat.S_ISREG(mode) else "is no file"


def _described(path: Path, name: str) -> ProjectFile:
    status = os.stat(path)
    try:
        digest = file_digest(path)
    except OSError as error:
        raise InputError(
            "cannot read the project", where=name, found=os.strerror(error.errno or 0)
        ) from error
    mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    return ProjectFile(name=name, path=path, mode=mode, size=status.st_size, sha256=digest)


def _refused(directory: Path, faults: list[str]) -> InputError:
    shown = "; ".join(faults[:_NAMED]) + (f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else "")
    return InputError(
        "the project can't be packed",
        where=directory.name or str(directory),
        expected="files, and links to files inside the tree",
        found=shown,
        hint=f"name what need not travel in {IGNORE}, as in a .gitignore",
    )


def _too_much(directory: Path, limit: str) -> InputError:
    return InputError(
        "the project is too large for a layer",
        where=directory.name or str(directory),
        expected=f"at most {limit}",
        found="more",
        hint=f"leave data out with {IGNORE} and mount it, or name another --project",
    )
