"""What every distribution is made of, beyond what its RECORD lists.

In this order, since each step leaves less to the next: the OS package's list, egg-info, editable
installs, and then whatever on sys.path belongs to none of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from envlock.capture import editable, eggs, origin, orphans, system_files
from envlock.capture.packages import Database
from envlock.capture.python import Interpreter
from envlock.capture.search_path import SearchPath
from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import Gap


def complete(
    distributions: tuple[InstalledDistribution, ...],
    interpreter: Interpreter,
    database: Database,
    environ: Mapping[str, str],
) -> tuple[tuple[InstalledDistribution, ...], tuple[Gap, ...]]:
    """Return the distributions, sorted by name, with all their files; and what is left out."""
    search = SearchPath(interpreter.path)
    known = system_files.read(orphans.without_own(distributions), database)
    gaps: list[Gap] = []
    found = []
    sources: list[Path] = []
    for one in known:
        filled, faults = _filled(one, search)
        gaps += faults
        if filled.editable:
            # An egg-info lies beside its code; with a dist-info, that place is site-packages.
            sources += editable.source_directories(one) or (() if one.record else (one.site,))
        found.append(_with_origin(filled, one, environ))
    rest, more = orphans.read(interpreter.sites, sources, tuple(found), search)
    if rest is not None:
        found.append(rest)
    return tuple(sorted(found, key=lambda one: one.name)), (*gaps, *more)


def _filled(
    distribution: InstalledDistribution, search: SearchPath
) -> tuple[InstalledDistribution, tuple[Gap, ...]]:
    if distribution.carried:
        return distribution, ()
    if not distribution.record and eggs.is_egg(distribution):
        return eggs.read(distribution, search)
    if distribution.record and editable.is_editable(distribution):
        return editable.read(distribution, search)
    return distribution, ()


def _with_origin(
    filled: InstalledDistribution, distribution: InstalledDistribution, environ: Mapping[str, str]
) -> InstalledDistribution:
    """Add where a local directory's source stands."""
    direct = distribution.direct_url
    if not filled.editable and (direct is None or direct.kind != "directory"):
        return filled
    roots = editable.source_directories(distribution)
    if filled.editable and not distribution.record:
        roots = (distribution.site,)
    source = editable.source_of(distribution, roots)
    return filled if source is None else replace(filled, origin=origin.read(source, environ))


def library_directories(
    distributions: Iterable[InstalledDistribution], interpreter: Interpreter
) -> tuple[Path, ...]:
    """Return the directories of carried shared libraries that lie below no directory of sys.path."""
    found = {file.path.parent for one in distributions for file in one.carried if ".so" in file.name}
    seen = frozenset(interpreter.sites)
    return tuple(sorted(one for one in found if seen.isdisjoint((one, *one.parents))))
