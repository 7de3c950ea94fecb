"""The libraries that a real run mapped, dlopen'ed ones included, as the dynamic loader itself reported.

glibc's loader writes what it does to a file a process when LD_DEBUG and LD_DEBUG_OUTPUT are set
(ld.so(8)); children inherit both. Of its subjects ``scopes`` names each object once it is loaded, as
``object=PATH [NAMESPACE]``, and writes nothing when a process ends: ``libs`` and ``files`` do, into
whatever the job has by then put in the place of the file descriptor (docs/adr/0015).

Not seen: programs of another C library, static ones, those that set-user-ID makes deaf to LD_DEBUG, and
children that are started with an empty environment.
"""

import os
import re
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from envlock.capture.elf import Elf
from envlock.capture.python import home_of
from envlock.host import foreground
from envlock.host.files import scratch_directory
from envlock.lock.model import Gap

_OBJECT = re.compile(r"^\s*\d+:\tobject=(/.*) \[\d+\]$", re.MULTILINE)
_TEMPORARY = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/")  # noqa: S108 (where packages never are)
_SITES = re.compile(r"/(site|dist)-packages/")
_NAMED = 3
_FILE = "loader"
_SILENT = "none of the job's processes reported its libraries: none is a dynamic program of glibc's"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """``roots``: absolute paths of libraries to follow and pack."""

    roots: tuple[str, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a run had loaded: ``objects`` are absolute paths, sorted."""

    objects: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()


def observe(command: Sequence[str], environ: Mapping[str, str]) -> Observed:
    """Run ``command`` once on the user's own terminal and return what its processes had loaded.

    A job that fails is a gap. Raises UsageError when it can't be started; a signal that was meant to end
    envlock is raised again once the job has ended.
    """
    with scratch_directory() as scratch:
        if os.geteuid() == 0:
            # A job of root's may go on as another user, whose processes report too.
            scratch.chmod(0o1733)
        ended = foreground.foreground(command, env=_watched(environ, scratch))
        objects = _reported(scratch)
    if ended.interrupted_by is not None:
        signal.raise_signal(ended.interrupted_by)
    gaps = []
    if ended.status != 0:
        reason = f"the job ended with exit status {ended.status}: what it would open later is not known"
        gaps.append(Gap(subject="run", reason=reason))
    if not objects:
        gaps.append(Gap(subject="run", reason=_SILENT))
    return Observed(objects=objects, gaps=tuple(gaps))


def _watched(environ: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """Return the job's environment, in which the loader reports below ``scratch``."""
    return {**environ, "LD_DEBUG": "scopes", "LD_DEBUG_OUTPUT": f"{scratch}/{_FILE}"}


def _reported(scratch: Path) -> tuple[str, ...]:
    """Return the absolute paths of the objects that were loaded in any process, sorted."""
    # Whoever may write there may put a link or a pipe there.
    files = (file for file in scratch.glob(f"{_FILE}.*") if file.is_file() and not file.is_symlink())
    texts = (file.read_text("utf-8", "surrogateescape") for file in files)
    return tuple(sorted({path for text in texts for path in _OBJECT.findall(text)}))


def choose(
    paths: Iterable[str],
    *,
    look: Callable[[str], Elf | None],
    program: Elf | None,
    known: Callable[[str], bool],
    owned: Callable[[str], bool],
    library_path: tuple[str, ...],
    never: tuple[str, ...],
) -> Chosen:
    """Return which of the mapped objects belong into the base.

    ``known`` are those that the environment brings, which need nothing. ``owned`` are those of a package
    or of the interpreter: they are packed, and so is what an administrator put beside the packages. What
    lies in a home or temporary directory is not: most of it is compiled by the run itself and would be
    made anew, and a path in a home directory is no path of an image. ``library_path`` (LD_LIBRARY_PATH)
    names directories that the user means.
    """
    roots, left = [], []
    for path in paths:
        if known(path) or any(fnmatchcase(os.path.basename(path), pattern) for pattern in never):
            continue
        elf = look(path)
        if elf is not None and not _is_library(elf, program):
            continue
        if elf is not None and (owned(path) or os.path.dirname(path) in library_path or not _passing(path)):
            roots.append(path)
        else:
            left.append(os.path.basename(path))
    return Chosen(roots=tuple(roots), gaps=_gaps(sorted(set(left))))


def _is_library(elf: Elf, program: Elf | None) -> bool:
    """Tell a library from a program, also from one of another machine that the job started."""
    # The C library can be started like a program, but has a soname.
    alone = elf.interpreter is not None and elf.soname is None
    return not alone and (program is None or (elf.bits, elf.machine) == (program.bits, program.machine))


def _passing(path: str) -> bool:
    return home_of(path) is not None or path.startswith(_TEMPORARY) or _SITES.search(path) is not None


def _gaps(names: list[str]) -> tuple[Gap, ...]:
    if not names:
        return ()
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    shown = ", ".join(names[:_NAMED]).encode("utf-8", "replace").decode("utf-8")
    reason = f"libraries that it opened lie in home or temporary directories, or are gone: {shown}{more}"
    return (Gap(subject="run", reason=f"{reason}; they are not packed"),)
