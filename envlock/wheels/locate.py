"""From installed distributions to exact wheels.

Each distribution becomes a package with one wheel: the one that it was installed from where an index
or a direct URL confirms it, else one repacked from its installed files. What can't become a wheel is a
gap that says why.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import Gap, Package, Source
from envlock.wheels.configuration import Index, authorise, without_credentials
from envlock.wheels.egg import as_wheel, is_egg
from envlock.wheels.lookup import Found, Lookup
from envlock.wheels.members import contents
from envlock.wheels.own import without_envlock
from envlock.wheels.repack import repack

_THREADS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """The packages of an environment, sorted by name, and what is not among them."""

    packages: tuple[Package, ...]
    gaps: tuple[Gap, ...]


def locate(
    distributions: tuple[InstalledDistribution, ...],
    *,
    store: Store,
    indexes: tuple[Index, ...],
    session: requests.Session,
    offline: bool,
    progress: Progress,
) -> Located:
    """Return the exact wheel of each distribution, but for envlock and what only envlock needs.

    ``modified`` of each distribution must be filled in (a modified one is repacked as it is). Offline,
    only what an earlier capture confirmed counts as found. Raises UnreachableError when an index does
    not answer, IntegrityError when a file's bytes are not what they must be.
    """
    authorise(session, indexes)
    kept, gaps = without_envlock(distributions)
    obstacles = {one.name: reason for one in kept if (reason := _obstacle(one)) is not None}
    usable = tuple(one for one in kept if one.name not in obstacles)
    lookup = Lookup(store=store, indexes=indexes, session=session, offline=offline)
    found = _find_all(lookup, usable, progress)
    rebuilt = tuple(one for one in usable if found[one.name] is None)
    packages = [_package(one, hit) for one in usable if (hit := found[one.name]) is not None]
    for package, more in _repack_all(rebuilt, store, progress):
        packages.append(package)
        gaps += more
    gaps += tuple(Gap(subject=name, reason=reason) for name, reason in obstacles.items())
    return Located(packages=tuple(sorted(packages, key=lambda one: one.name)), gaps=tuple(sorted(gaps)))


def _obstacle(distribution: InstalledDistribution) -> str | None:
    """Return why no wheel can be made of a distribution, or None."""
    if distribution.direct_url is not None and distribution.direct_url.editable:
        return "left out: an editable install, whose code lies in a source directory"
    try:
        Version(distribution.version)
    except InvalidVersion:
        return f"left out: {distribution.version!r} is no version that a wheel can have (PEP 440)"
    listed = any(entry.path == f"{distribution.dist_info}/METADATA" for entry in distribution.record)
    if not listed and (not is_egg(distribution) or as_wheel(distribution) is None):
        return "left out: nothing tells which files belong to it"
    return None


def _find_all(
    lookup: Lookup, distributions: tuple[InstalledDistribution, ...], progress: Progress
) -> dict[str, Found | None]:
    found: dict[str, Found | None] = {}
    with (
        progress.task("finding wheels", len(distributions)) as advance,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        waiting: dict[Future[Found | None], str] = {
            pool.submit(lookup.find, one): one.name for one in distributions
        }
        try:
            for future in as_completed(waiting):
                found[waiting[future]] = future.result()
                advance(1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def _repack_all(
    distributions: tuple[InstalledDistribution, ...], store: Store, progress: Progress
) -> Iterator[tuple[Package, tuple[Gap, ...]]]:
    """Yield each repacked package; one at a time, since each uses all cores."""
    for one in distributions:
        described, made = (is_egg(one) and as_wheel(one)) or (one, contents(one))
        total = sum(member.size for member in made.members)
        with progress.task(f"repacking {one.name}", total, "B") as advance:
            wheel = repack(described, made.members, store, advance)
        package = Package(
            name=one.name,
            version=one.version,
            wheel=wheel,
            source=_source(one),
            evidence="repacked",
            requires_python=_requires_python(one),
            origin=_origin(one),
            modified=tuple(sorted(one.modified)),
        )
        yield (
            package,
            tuple(
                Gap(subject=one.name, reason=f"left out: {path} lies outside the environment")
                for path in made.outside
            ),
        )


def _package(distribution: InstalledDistribution, found: Found) -> Package:
    return Package(
        name=distribution.name,
        version=distribution.version,
        wheel=found.wheel,
        source="index" if found.index is not None else "archive",
        evidence=found.evidence,
        requires_python=_requires_python(distribution),
        index=found.index,
        origin=_origin(distribution),
    )


def _source(distribution: InstalledDistribution) -> Source:
    """Return where a package that had to be repacked came from, as far as its installer says."""
    if distribution.installer == "conda":
        # conda writes the build machine's directory into direct_url.json, which says nothing.
        return "conda"
    direct = distribution.direct_url
    kinds: dict[str, Source] = {"archive": "archive", "vcs": "vcs", "directory": "directory"}
    return kinds.get(direct.kind, "repacked") if direct is not None else "repacked"


def _origin(distribution: InstalledDistribution) -> tuple[tuple[str, str], ...]:
    """Return the facts of a direct reference; a path of this machine is none."""
    direct = distribution.direct_url
    if direct is None or distribution.installer == "conda":
        return ()
    facts = {"vcs": direct.vcs, "commit": direct.commit, "subdirectory": direct.subdirectory}
    if urlsplit(direct.url).scheme not in ("", "file"):
        facts["url"] = without_credentials(direct.url)
    return tuple(sorted((name, value) for name, value in facts.items() if value))


def _requires_python(distribution: InstalledDistribution) -> str | None:
    """Return Requires-Python when it is valid: old releases carry forms that PEP 751 readers refuse."""
    try:
        SpecifierSet(distribution.requires_python or "")
    except InvalidSpecifier:
        return None
    return distribution.requires_python
