"""Distributions from before wheels: setuptools' egg-info directory, without a RECORD.

What belongs to one is told by ``installed-files.txt`` where pip wrote it, else by the import names of
``top_level.txt`` (setuptools documentation, "The Internal Structure of Python Eggs"). In site-packages a
namespace package, which others share, has no ``__init__.py`` and is not guessed at. Where the egg-info
lies in a source directory (``setup.py develop``), the directory is the distribution's own: it is an
editable install.
"""

import os
import posixpath
from dataclasses import replace
from pathlib import Path

from envlock.capture import source_tree
from envlock.capture.editable import text_of
from envlock.capture.search_path import SearchPath
from envlock.capture.source_tree import Collected, TooMuchError
from envlock.lock.environment import CarriedFile, InstalledDistribution
from envlock.lock.model import Gap

_SUFFIX = ".egg-info"
_SITE_NAMES = ("site-packages", "dist-packages")
_KEPT = (("PKG-INFO", "METADATA"), ("entry_points.txt", "entry_points.txt"))


def is_egg(distribution: InstalledDistribution) -> bool:
    """Tell whether this is an egg-info directory; a single file does not say which files are its."""
    place = distribution.site / distribution.dist_info
    return distribution.dist_info.endswith(_SUFFIX) and (place / "PKG-INFO").is_file()


def read(
    distribution: InstalledDistribution, search: SearchPath
) -> tuple[InstalledDistribution, tuple[Gap, ...]]:
    """Return the distribution with its files; where nothing tells them, as it is."""
    developed = distribution.site.name not in _SITE_NAMES
    found = Collected()
    try:
        if developed:
            _develop(distribution, search, found)
        else:
            _installed(distribution, found)
    except TooMuchError as error:
        return replace(distribution, obstacle=f"left out: its source directory holds {error}"), ()
    if not found.files:
        return distribution, ()
    gaps = source_tree.gaps(distribution.name, found)
    made = with_metadata(distribution, found.carried)
    return replace(made, editable=developed), gaps


def with_metadata(
    distribution: InstalledDistribution, files: tuple[CarriedFile, ...]
) -> InstalledDistribution:
    """Return the distribution with ``files``, and its metadata under the names that a wheel has."""
    place = distribution.site / distribution.dist_info
    target = metadata_directory(distribution.name, distribution.version)
    kept = _KEPT if place.is_dir() else (("", "METADATA"),)
    metadata = tuple(
        CarriedFile(name=f"{target}/{name}", path=place / source)
        for source, name in kept
        if (place / source).is_file()
    )
    carried = sorted((*files, *metadata), key=lambda one: one.name)
    return replace(distribution, dist_info=target, carried=tuple(carried))


def metadata_directory(name: str, version: str) -> str:
    """Return what a wheel calls its metadata directory."""
    return f"{name.replace('-', '_')}-{version}.dist-info"


def _develop(distribution: InstalledDistribution, search: SearchPath, found: Collected) -> None:
    root = distribution.site
    names = _names(root / distribution.dist_info)
    project = root if source_tree.is_project_root(root) else root.parent
    hidden = search.before(root)
    for path in source_tree.named(root, names) if names else source_tree.top_level(root):
        if source_tree.import_name(path.name) not in hidden:
            source_tree.collect(path, path.name, project, found)


def _installed(distribution: InstalledDistribution, found: Collected) -> None:
    site, place = distribution.site, distribution.site / distribution.dist_info
    listed = place / "installed-files.txt"
    for line in text_of(listed).splitlines():
        name = posixpath.normpath(posixpath.join(place.name, line))
        if not name.startswith(("../", "/", f"{place.name}/")):
            _take(site / name, name, site, found)
    if not listed.is_file():
        for path in source_tree.named(site, _names(place)):
            if not path.is_dir() or (path / "__init__.py").is_file():
                source_tree.collect(path, path.name, site, found)


def _take(path: Path, name: str, site: Path, found: Collected) -> None:
    if os.path.isfile(path):
        source_tree.collect(path, name, site, found)


def _names(place: Path) -> frozenset[str]:
    lines = text_of(place / "top_level.txt").splitlines()
    return frozenset(line for line in lines if line.isidentifier())
