"""Which files of an installed distribution its wheel was made of, and under which names.

Binary distribution format: what lies in site-packages lies at the archive's root, scripts and other
files of the prefix lie under ``NAME-VERSION.data``. What installers and the interpreter made is left
out: RECORD, INSTALLER, REQUESTED, ``direct_url.json``, bytecode, launchers, caches.
"""

import os
import posixpath
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.tags import Tag, parse_tag
from packaging.utils import canonicalize_version

from envlock.lock.environment import InstalledDistribution
from envlock.wheels.archive import Member
from envlock.wheels.launcher import EntryPoints, as_in_wheel, entry_points, is_generated
from envlock.wheels.record import is_bytecode, is_made_by_installer

_SITE_NAMES = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The members of a wheel, sorted, its metadata last; ``outside`` are files that no wheel can hold."""

    members: tuple[Member, ...]
    outside: tuple[str, ...]


def contents(distribution: InstalledDistribution) -> Contents:
    """Return what the wheel of an installed distribution with a RECORD is made of.

    Files that RECORD lists and that are gone are left out; ``distribution.modified`` names them.
    """
    dist_info = distribution.dist_info
    scripts = entry_points(_text(distribution.site / dist_info / "entry_points.txt"))
    members: dict[str, Member] = {}
    outside: list[str] = []
    for entry in distribution.record:
        path = posixpath.normpath(entry.path)
        if is_bytecode(path) or is_made_by_installer(path, dist_info):
            continue
        # Files that differ from RECORD are hashed again, as they are now.
        sha256 = None if entry.path in distribution.modified else entry.sha256
        made = _member(distribution, path, scripts, sha256)
        if made is None:
            outside.append(path)
        for member in made or ():
            members.setdefault(member.name, member)
    if distribution.tags == () and f"{dist_info}/WHEEL" not in members:
        members[f"{dist_info}/WHEEL"] = wheel_file(dist_info, tuple(members))
    ordered = sorted(members.values(), key=lambda one: (one.name.startswith(f"{dist_info}/"), one.name))
    return Contents(members=tuple(ordered), outside=tuple(sorted(outside)))


def filename(distribution: InstalledDistribution, members: Sequence[Member]) -> str:
    """Return the wheel's file name (binary distribution format, "File name convention")."""
    tags = frozenset[Tag]().union(
        *map(parse_tag, distribution.tags or _computed_tags([m.name for m in members]))
    )
    parts = (sorted({getattr(tag, part) for tag in tags}) for part in ("interpreter", "abi", "platform"))
    version = canonicalize_version(distribution.version, strip_trailing_zero=False)
    build = [distribution.build] if distribution.build else []
    name = distribution.name.replace("-", "_")
    return "-".join([name, version, *build, *(".".join(part) for part in parts)]) + ".whl"


def wheel_file(dist_info: str, names: Sequence[str]) -> Member:
    """Return the WHEEL file for a distribution that has none, with the tags that its files ask for."""
    tags = _computed_tags(names)
    purelib = "true" if tags == ["py3-none-any"] else "false"
    lines = ["Wheel-Version: 1.0", "Generator: envlock", f"Root-Is-Purelib: {purelib}"]
    text = "\n".join([*lines, *(f"Tag: {tag}" for tag in tags)]) + "\n"
    return Member(name=f"{dist_info}/WHEEL", executable=False, content=text.encode())


def executable(path: Path) -> bool:
    """Tell whether the file's owner may run it."""
    return bool(path.stat().st_mode & stat.S_IXUSR)


def _member(
    distribution: InstalledDistribution, path: str, scripts: EntryPoints, sha256: str | None
) -> Sequence[Member] | None:
    """Return the member for an installed path, none for one to leave out, None for one outside."""
    source = Path(os.path.normpath(distribution.site / path))
    if not _is_file(source):
        return ()
    runs = executable(source)
    if not path.startswith(("../", "/")):
        return (Member(name=path, executable=runs, path=source, sha256=sha256),)
    prefix = _prefix(distribution.site)
    if prefix not in source.parents:
        return None
    data = distribution.dist_info.removesuffix(".dist-info") + ".data"
    relative = source.relative_to(prefix).as_posix()
    if posixpath.dirname(relative) != "bin":
        name = f"{data}/data/{relative}"
        return (Member(name=name, executable=runs, path=source, sha256=sha256),)
    return tuple(_script(source, f"{data}/scripts/{source.name}", scripts))


def _script(source: Path, name: str, scripts: EntryPoints) -> Iterator[Member]:
    with source.open("rb") as stream:
        is_text = stream.read(2) == b"#!"
    if not is_text:
        yield Member(name=name, executable=True, path=source)
        return
    content = source.read_bytes()
    if not is_generated(source.name, content, scripts):
        yield Member(name=name, executable=True, content=as_in_wheel(content, str(source.parent)))


def _prefix(site: Path) -> Path:
    """Return the installation prefix: above ``lib/pythonX.Y/site-packages``."""
    return site.parents[2] if site.name in _SITE_NAMES else site.parent


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _computed_tags(names: Sequence[str]) -> list[str]:
    """Return the tags that extension modules' names ask for (PEP 3149): ``NAME.cpython-311-ARCH-….so``."""
    found: set[str] = set()
    for name in names:
        parts = posixpath.basename(name).split(".")
        if parts[-1] == "so" and len(parts) > 2 and parts[-2].startswith("cpython-"):  # noqa: PLR2004  # stem, ABI, so
            _, version, *machine = parts[-2].split("-")
            found.add(f"cp{version}-cp{version}-linux_{machine[0] if machine else os.uname().machine}")
        elif parts[-1] == "so":
            found.add(f"py3-none-linux_{os.uname().machine}")
    specific = sorted(tag for tag in found if tag.startswith("cp"))
    return specific or sorted(found) or ["py3-none-any"]
