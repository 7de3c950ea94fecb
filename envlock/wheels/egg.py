"""Wheels of distributions that were installed before wheels: setuptools' egg-info, without a RECORD.

What belongs to such a distribution is told by ``installed-files.txt`` where pip wrote it, else by the
import names of ``top_level.txt`` (setuptools documentation, "The Internal Structure of Python Eggs").
A namespace package, which others share, has no ``__init__.py`` and is not guessed at.
"""

import os
import posixpath
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from envlock.lock.environment import InstalledDistribution
from envlock.wheels.archive import Member
from envlock.wheels.members import Contents, executable, wheel_file
from envlock.wheels.record import is_bytecode

_SUFFIX = ".egg-info"


def is_egg(distribution: InstalledDistribution) -> bool:
    """Tell whether this is an egg-info directory; a single file does not say which files are its."""
    place = distribution.site / distribution.dist_info
    return distribution.dist_info.endswith(_SUFFIX) and (place / "PKG-INFO").is_file()


def as_wheel(distribution: InstalledDistribution) -> tuple[InstalledDistribution, Contents] | None:
    """Return the distribution under its wheel's metadata directory and the wheel's contents.

    None when nothing tells its files.
    """
    place = distribution.site / distribution.dist_info
    paths = sorted({path for path in _files(distribution.site, place) if not is_bytecode(path)})
    if not paths:
        return None
    dist_info = f"{distribution.name.replace('-', '_')}-{distribution.version}.dist-info"
    members = [
        Member(name=path, executable=executable(distribution.site / path), path=distribution.site / path)
        for path in paths
    ]
    for source, name in (("PKG-INFO", "METADATA"), ("entry_points.txt", "entry_points.txt")):
        if (place / source).is_file():
            members.append(Member(name=f"{dist_info}/{name}", executable=False, path=place / source))
    members.append(wheel_file(dist_info, paths))
    return replace(distribution, dist_info=dist_info), Contents(members=tuple(members), outside=())


def _files(site: Path, place: Path) -> Iterator[str]:
    """Yield the paths of its files, relative to site-packages; scripts are made from entry points."""
    for line in _lines(place / "installed-files.txt"):
        path = posixpath.normpath(posixpath.join(place.name, line))
        inside = not path.startswith(("../", "/", f"{place.name}/"))
        if inside and (site / path).is_file():
            yield path
    if not (place / "installed-files.txt").is_file():
        for name in _lines(place / "top_level.txt"):
            yield from _module(site, name)


def _module(site: Path, name: str) -> Iterator[str]:
    if (site / name / "__init__.py").is_file():
        for directory, _, names in os.walk(site / name):
            yield from (os.path.relpath(os.path.join(directory, one), site) for one in names)
    elif name.isidentifier():
        yield from (one.name for one in site.glob(f"{name}.*") if one.suffix in (".py", ".so"))


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line]
