"""Editable installs: the code that they import, where it really lies.

An editable install has its metadata in site-packages, and there a ``.pth`` file that adds source
directories to sys.path or starts an import hook (site module; packaging specifications, "Editable
installs"). What these lead to is what runs, so that is what the wheel is made of. A directory of
sys.path that is ahead of a source directory wins, as it does when the interpreter imports.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from envlock.capture import import_hooks, source_tree
from envlock.capture.search_path import SearchPath
from envlock.capture.source_tree import Collected, TooMuchError
from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import Gap

_IMPORT = re.compile(r"import[ \t]+([\w.]+)")


@dataclass(frozen=True, slots=True)
class _Links:
    """What the top-level ``.pth`` files of a distribution say."""

    roots: tuple[Path, ...]
    hooks: tuple[str, ...]
    files: tuple[str, ...]
    """The ``.pth`` files themselves, those that say one of the two."""


def is_editable(distribution: InstalledDistribution) -> bool:
    """Tell whether it says so itself, or leads to a source directory by a ``.pth`` file."""
    direct = distribution.direct_url
    return (direct is not None and direct.editable) or bool(_links(distribution).roots)


def read(
    distribution: InstalledDistribution, search: SearchPath
) -> tuple[InstalledDistribution, tuple[Gap, ...]]:
    """Return an editable install with the files that it imports, and what of them can't be carried."""
    links = _links(distribution)
    if not links.files and _has_modules(distribution):
        # Built in place and then copied (maturin): what is imported is what RECORD lists.
        return replace(distribution, editable=True), ()
    project = source_of(distribution, links.roots)
    found = Collected()
    try:
        unread = _collect(distribution, links, search, project, found)
    except TooMuchError as error:
        return _hindered(distribution, f"left out: its source directory holds {error}"), ()
    if unread is not None:
        return _hindered(distribution, f"left out: {unread} is an import hook of no known kind"), ()
    if not found.files:
        return _hindered(distribution, "left out: an editable install of a source that is not there"), ()
    gaps = source_tree.gaps(distribution.name, found)
    wheel = f"{distribution.dist_info}/WHEEL"
    return replace(
        distribution,
        editable=True,
        carried=found.carried,
        replaced=tuple(
            sorted({*distribution.replaced, *links.files, *(f"{hook}.py" for hook in links.hooks), wheel})
        ),
        # The tags are those of the files, not of the build backend's stand-in for them.
        tags=(),
        build=None,
    ), gaps


def _has_modules(distribution: InstalledDistribution) -> bool:
    own = f"{distribution.dist_info}/"
    return any(
        source_tree.is_importable(entry.path) and not entry.path.startswith((own, "../"))
        for entry in distribution.record
    )


def source_of(distribution: InstalledDistribution, roots: tuple[Path, ...] = ()) -> Path | None:
    """Return the project's directory: what the installer noted, else the project around its source."""
    direct = distribution.direct_url
    if direct is not None and direct.local is not None and direct.local.is_dir():
        return direct.local
    around = (place for root in roots for place in (root, *root.parents[:2]))
    return next((place for place in around if source_tree.is_project_root(place)), next(iter(roots), None))


def source_directories(distribution: InstalledDistribution) -> tuple[Path, ...]:
    """Return the directories that the distribution's ``.pth`` files put on sys.path."""
    return _links(distribution).roots


def _collect(
    distribution: InstalledDistribution,
    links: _Links,
    search: SearchPath,
    project: Path | None,
    found: Collected,
) -> str | None:
    """Fill ``found``, and return the file of a hook that can't be read, if there is one."""
    for hook in links.hooks:
        known = import_hooks.read(distribution.site / f"{hook}.py")
        if known is None:
            return f"{hook}.py"
        for name, path in known.targets:
            source_tree.collect(path, name, _inside(path, project), found)
    names = _stated_names(distribution)
    for root in links.roots:
        listed = source_tree.named(root, names) if names else source_tree.top_level(root)
        hidden = search.before(root)
        for path in listed:
            if source_tree.import_name(path.name) not in hidden:
                source_tree.collect(path, path.name, _inside(root, project), found)
    for link in _package_links(distribution, project) if not found.files else ():
        source_tree.collect(link.resolve(), link.name, _inside(link.resolve(), project), found)
    return None


def _inside(path: Path, project: Path | None) -> Path:
    """Return what links must stay in: the project where the path is of it."""
    if project is not None and f"{os.path.realpath(path)}/".startswith(f"{os.path.realpath(project)}/"):
        return project
    return path if path.is_dir() else path.parent


def _stated_names(distribution: InstalledDistribution) -> frozenset[str]:
    """Return the import names that setuptools lists; none where another backend built it."""
    lines = text_of(distribution.site / distribution.dist_info / "top_level.txt").split()
    return frozenset(line for line in lines if line.isidentifier())


def _package_links(distribution: InstalledDistribution, project: Path | None) -> Iterator[Path]:
    """Yield links in site-packages into the project (``flit install --symlink``)."""
    if project is None:
        return
    real = f"{os.path.realpath(project)}/"
    for path in sorted(distribution.site.iterdir()):
        if path.is_symlink() and os.path.realpath(path).startswith(real):
            yield path


def _links(distribution: InstalledDistribution) -> _Links:
    modules = {entry.path.removesuffix(".py") for entry in distribution.record if "/" not in entry.path}
    roots: list[Path] = []
    hooks: list[str] = []
    files: list[str] = []
    for entry in distribution.record:
        if "/" in entry.path or not entry.path.endswith(".pth"):
            continue
        lines = path_lines(text_of(distribution.site / entry.path))
        imported = [one.group(1) for line in lines if (one := _IMPORT.match(line)) is not None]
        own = [one for one in imported if one in modules]
        directories = [Path(line) for line in lines if line.startswith("/") and os.path.isdir(line)]
        if own or directories or any(line.startswith("/") for line in lines):
            files.append(entry.path)
        roots += directories
        hooks += own
    return _Links(tuple(dict.fromkeys(roots)), tuple(dict.fromkeys(hooks)), tuple(files))


def path_lines(text: str) -> list[str]:
    """Return the lines of a ``.pth`` file that the site module acts on."""
    lines = (line.rstrip() for line in text.splitlines())
    return [line for line in lines if line.strip() and not line.startswith("#")]


def text_of(path: Path) -> str:
    """Return a file's text; one that can't be read is empty."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _hindered(distribution: InstalledDistribution, reason: str) -> InstalledDistribution:
    return replace(distribution, editable=True, obstacle=reason)
