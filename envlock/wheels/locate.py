"""From installed distributions to exact wheels.

Each distribution becomes a package with one wheel: the one that it was installed from where an index
or a direct URL confirms it, else one repacked from its installed files. What can't become a wheel is a
gap that says why.
"""

import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import Gap, Package, Pairs, Source
from envlock.wheels import build_facts
from envlock.wheels.archive import OWN, Compressor
from envlock.wheels.configuration import Index
from envlock.wheels.launched import without_launchers
from envlock.wheels.lookup import Answer, Found, Lookup
from envlock.wheels.members import Contents, contents, holds_login, installed
from envlock.wheels.own import without_envlock
from envlock.wheels.public_url import public
from envlock.wheels.repack import SIDECAR, Repacked, repack

_THREADS = 16
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """The packages of an environment, sorted by name, and what is not among them."""

    packages: tuple[Package, ...]
    gaps: tuple[Gap, ...]
    final: bool
    """Every place was asked that had to be: no other time would give a better answer."""


def locate(
    distributions: tuple[InstalledDistribution, ...],
    *,
    store: Store,
    indexes: tuple[Index, ...],
    session: requests.Session,
    offline: bool,
    progress: Progress,
    homes: tuple[str, ...] = (),
    compressor: Compressor = OWN,
) -> Located:
    """Return the exact wheel of each distribution, but for envlock and what only envlock needs.

    ``homes`` are the home directories of the captured machine; a repacked file that names one is a gap.
    ``modified`` of each distribution must be filled in (a modified one is repacked as it is). Offline,
    only what an earlier capture confirmed counts as found. A place that does not answer is a gap of each
    wheel that no other confirms. Raises IntegrityError when a file changed since it was verified.
    """
    kept, gaps = without_envlock(tuple(map(without_launchers, distributions)))
    obstacles = {one.name: reason for one in kept if (reason := _obstacle(one)) is not None}
    usable = tuple(one for one in kept if one.name not in obstacles)
    lookup = Lookup(store=store, indexes=indexes, session=session, offline=offline)
    found = _find_all(lookup, usable, progress)
    gaps += _unconfirmed(found)
    hits = {one.name: (one, hit) for one in usable if (hit := found[one.name].found) is not None}
    known = {name: _package(one, hit) for name, (one, hit) in hits.items()}
    gaps += tuple(_published_login(one.name) for one, _ in hits.values() if holds_login(one))
    # What came from beside another lock was repacked by it, or found as a file: making it again tells.
    rebuilt = tuple(one for one in usable if one.name not in hits or _is_from_beside_a_lock(one))
    facts = build_facts.Environment.of(distributions)
    for package, more in _repack_all(rebuilt, facts, store, progress, homes, compressor):
        first = known.get(package.name)
        if first is None or first.wheel.sha256 == package.wheel.sha256:
            known[package.name] = package
            gaps += more
    gaps += tuple(Gap(subject=name, reason=reason) for name, reason in obstacles.items())
    return Located(
        packages=tuple(known[name] for name in sorted(known)),
        gaps=tuple(sorted(gaps)),
        final=not any(answer.obstacles for answer in found.values()),
    )


def _obstacle(distribution: InstalledDistribution) -> str | None:
    """Return why no wheel can be made of a distribution, or None."""
    if distribution.obstacle is not None:
        return distribution.obstacle
    try:
        Version(distribution.version)
    except InvalidVersion:
        return f"left out: {distribution.version!r} is no version that a wheel can have (PEP 440)"
    listed = any(entry.path == f"{distribution.dist_info}/METADATA" for entry in distribution.record)
    if not listed and not distribution.carried:
        return "left out: nothing tells which files belong to it"
    return None


def _find_all(
    lookup: Lookup, distributions: tuple[InstalledDistribution, ...], progress: Progress
) -> dict[str, Answer]:
    found: dict[str, Answer] = {}
    with (
        progress.task("finding wheels", len(distributions)) as advance,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        waiting: dict[Future[Answer], str] = {
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


def _unconfirmed(found: Mapping[str, Answer]) -> tuple[Gap, ...]:
    """Return what kept wheels from being confirmed, and which indexes will want a login again."""
    faults = {
        Gap(subject=name, reason=reason)
        for name, answer in found.items()
        if answer.found is None
        for reason in answer.obstacles
    }
    private = {
        f"index {hit.index}" if hit.index is not None else name
        for name, answer in found.items()
        if (hit := answer.found) is not None and hit.private
    }
    reason = "read with a login, which the lock does not carry: whoever installs from it gives one"
    logins = {Gap(subject=subject, reason=reason, harmless=True) for subject in private}
    return tuple(sorted(faults | logins))


def _published_login(name: str) -> Gap:
    # Without it the wheel would have another hash than the one that everybody gets.
    reason = "a login in a URL of its METADATA stays there: the wheel is the one that was published"
    return Gap(subject=name, reason=reason, harmless=True)


def _repack_all(
    distributions: tuple[InstalledDistribution, ...],
    facts: build_facts.Environment,
    store: Store,
    progress: Progress,
    homes: tuple[str, ...],
    compressor: Compressor,
) -> Iterator[tuple[Package, tuple[Gap, ...]]]:
    """Yield each repacked package; one at a time, since each uses all cores."""
    for one in distributions:
        made = contents(one)
        total = sum(member.size for member in made.members)
        with progress.task(f"repacking {one.name}", total, "B") as advance:
            repacked = repack(one, made.members, store, advance, homes, compressor)
        changed = tuple(sorted(set(one.modified) - set(one.replaced)))
        missing = tuple(path for path in changed if not os.path.lexists(installed(one, path)))
        package = Package(
            name=one.name,
            version=one.version,
            wheel=repacked.wheel,
            source=_source(one),
            evidence="repacked",
            requires_python=_requires_python(one),
            origin=_origin(one),
            modified=changed,
            modified_digest=one.modified_digest if changed else None,
            missing=missing,
            editable=one.editable,
            build=build_facts.read(one, made.members, facts),
            # An editable install's RECORD lists what leads to its source, not the code.
            content_digest=None if one.editable else one.content_digest,
            licences=one.licences,
        )
        yield package, (*_changes(package), *_left_out(one, made), *_naming_home(one, repacked))


def _changes(package: Package) -> Iterator[Gap]:
    """Yield what differs from what was installed. The lock carries it as it is, so nothing is lost."""
    missing = frozenset(package.missing)
    for what, paths in (
        ("changed", [path for path in package.modified if path not in missing]),
        ("missing", sorted(missing)),
    ):
        if paths:
            reason = f"{what} since it was installed, carried as it is: {_some(paths)}"
            yield Gap(subject=package.name, reason=reason, harmless=True)


def _naming_home(distribution: InstalledDistribution, repacked: Repacked) -> Iterator[Gap]:
    if repacked.naming_home:
        reason = f"names a home directory, which no image has: {_some(repacked.naming_home)}"
        yield Gap(subject=distribution.name, reason=reason)


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ascii(", ".join(paths[:_NAMED]))[1:-1] + more


def _left_out(distribution: InstalledDistribution, made: Contents) -> Iterator[Gap]:
    by_reason: dict[str, list[str]] = {}
    for path, reason in made.left_out:
        # Where a file lies outside says who, not what.
        shown = posixpath.basename(path) if path.startswith(("/", "../")) else path
        by_reason.setdefault(reason, []).append(ascii(shown)[1:-1])
    for reason, paths in by_reason.items():
        more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
        yield Gap(subject=distribution.name, reason=f"left out: {', '.join(paths[:_NAMED])}{more} {reason}")


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
        content_digest=distribution.content_digest,
        licences=distribution.licences,
    )


def _source(distribution: InstalledDistribution) -> Source:
    """Return where a package that had to be repacked came from, as far as its installer says."""
    if _is_conda(distribution):
        # conda leaves the build machine's directory in direct_url.json, which says nothing.
        return "conda"
    if _is_from_beside_a_lock(distribution):
        return "repacked"
    direct = distribution.direct_url
    if distribution.editable:
        facts = dict(distribution.origin)
        return "vcs" if facts.get("dirty") == "false" and "url" in facts else "directory"
    kinds: dict[str, Source] = {"archive": "archive", "vcs": "vcs", "directory": "directory"}
    return kinds.get(direct.kind, "repacked") if direct is not None else "repacked"


def _origin(distribution: InstalledDistribution) -> Pairs:
    """Return where it came from: conda's record first, then the direct reference; no path of this machine."""
    conda, direct = distribution.conda, distribution.direct_url
    if conda is not None:
        stated = {"url": conda.url, "build": conda.build}
        return tuple(sorted((name, value) for name, value in stated.items() if value))
    facts = dict(distribution.origin)
    if direct is None or _is_conda(distribution):
        return tuple(sorted(facts.items()))
    of_reference = {"vcs": direct.vcs, "commit": direct.commit, "subdirectory": direct.subdirectory}
    if urlsplit(direct.url).scheme not in ("", "file"):
        of_reference["url"] = public(direct.url)
    facts |= {name: value for name, value in of_reference.items() if value}
    return tuple(sorted(facts.items()))


def _is_conda(distribution: InstalledDistribution) -> bool:
    return distribution.conda is not None or distribution.installer == "conda"


def _is_from_beside_a_lock(distribution: InstalledDistribution) -> bool:
    """Tell whether it was installed from the wheels that an earlier capture kept beside its lock."""
    direct = distribution.direct_url
    local = None if direct is None else direct.local
    return local is not None and f"/{SIDECAR}/" in f"{local.parent}/"


def _requires_python(distribution: InstalledDistribution) -> str | None:
    """Return Requires-Python when it is valid: old releases carry forms that PEP 751 readers refuse."""
    try:
        SpecifierSet(distribution.requires_python or "")
    except InvalidSpecifier:
        return None
    return distribution.requires_python
