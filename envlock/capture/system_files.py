"""Python distributions that the OS installed: what belongs to one is what its OS package lists.

Debian strips RECORD, or leaves one whose hashes are of the files before they were stripped, so the OS
package's own list and checksums take its place. An OS package may hold several distributions; then the
import names of ``top_level.txt`` divide its files, and what none of them names is the first one's.
Files elsewhere than on sys.path (manuals, data below /usr/share) belong to no wheel.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from envlock.capture import source_tree
from envlock.capture.editable import text_of
from envlock.capture.eggs import with_metadata
from envlock.capture.packages import Database, OsPackage
from envlock.capture.source_tree import Collected, TooMuchError
from envlock.host.files import CHUNK
from envlock.lock.environment import CarriedFile, InstalledDistribution

_METADATA = (".dist-info", ".egg-info")


def read(
    distributions: tuple[InstalledDistribution, ...], database: Database
) -> tuple[InstalledDistribution, ...]:
    """Return the distributions, those that an OS package brought with its files of theirs."""
    owners: dict[str, OsPackage] = {}
    groups: dict[str, list[InstalledDistribution]] = {}
    for one in distributions:
        owner = _owner(one, database)
        if owner is not None:
            owners[one.name] = owner
            groups.setdefault(owner.key, []).append(one)
    return tuple(
        _filled(one, groups[owners[one.name].key], owners[one.name], database) if one.name in owners else one
        for one in distributions
    )


def _owner(distribution: InstalledDistribution, database: Database) -> OsPackage | None:
    place = os.path.realpath(distribution.site / distribution.dist_info)
    inside = (f"{place}/{name}" for name in ("PKG-INFO", "METADATA"))
    return next((owner for path in (place, *inside) if (owner := database.owner(path)) is not None), None)


def _filled(
    distribution: InstalledDistribution,
    group: list[InstalledDistribution],
    owner: OsPackage,
    database: Database,
) -> InstalledDistribution:
    site = os.path.realpath(distribution.site)
    names = {one.name: _names(one) for one in group}
    first = group[0].name
    found = Collected()
    try:
        for path in _listed(site, owner, database):
            name = path.removeprefix(f"{site}/")
            top = source_tree.import_name(name.partition("/")[0])
            holder = next((one for one, known in names.items() if top in known), first)
            if holder == distribution.name:
                source_tree.collect(Path(path), name, _inside(path, site), found)
    except TooMuchError as error:
        return replace(distribution, obstacle=f"left out: its OS package holds {error}")
    if not found.files:
        return distribution
    known = replace(
        distribution,
        record=(),
        modified=_modified(found, database.checksums(owner)),
        origin=(("package", f"{owner.name} {owner.version}"),),
    )
    if distribution.dist_info.endswith(".dist-info"):
        return replace(known, carried=(*found.carried, *_own_metadata(distribution)))
    return with_metadata(known, found.carried)


def _modified(found: Collected, checksums: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the files that differ from what the OS package installed."""
    return tuple(
        name
        for name, path in sorted(found.files.items())
        if (stated := checksums.get(os.path.realpath(path))) is not None and _checksum(path, stated) != stated
    )


def _checksum(path: Path, like: str) -> str:
    """Return the file's checksum by the algorithm that ``like`` names."""
    algorithm = like.partition(":")[0]
    # The manager's checksums guard against accidents; what pins the bytes is the wheel's SHA-256.
    state = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            state.update(piece)
    return f"{algorithm}:{state.hexdigest()}"


def _listed(site: str, owner: OsPackage, database: Database) -> Iterator[str]:
    """Yield the files, and links to directories, that the OS package has below ``site``."""
    for path in database.files(owner):
        top = path.removeprefix(f"{site}/").partition("/")[0]
        is_code = path.startswith(f"{site}/") and not top.endswith(_METADATA)
        if is_code and (os.path.isfile(path) or (os.path.islink(path) and os.path.isdir(path))):
            yield path


def _inside(path: str, site: str) -> Path:
    """Return what links must stay in. Debian links data and scripts that packages share: those count."""
    return Path(os.path.realpath(path)).parent if os.path.islink(path) else Path(site)


def _own_metadata(distribution: InstalledDistribution) -> tuple[CarriedFile, ...]:
    place = distribution.site / distribution.dist_info
    return tuple(
        CarriedFile(name=f"{place.name}/{file.name}", path=file)
        for file in sorted(place.iterdir())
        if file.is_file() and file.name != "RECORD"
    )


def _names(distribution: InstalledDistribution) -> frozenset[str]:
    place = distribution.site / distribution.dist_info
    return frozenset(text_of(place / "top_level.txt").split()) if place.is_dir() else frozenset()
