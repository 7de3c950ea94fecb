"""Which files of an installed distribution its wheel was made of, and under which names.

Binary distribution format: what lies in site-packages lies at the archive's root, scripts and other
files of the prefix lie under ``NAME-VERSION.data``. What installers and the interpreter made is left
out: RECORD, INSTALLER, REQUESTED, ``direct_url.json``, bytecode, launchers, caches. A login in a URL of
METADATA's headers (``Requires-Dist: x @ https://TOKEN@host/x.whl``, ``…?token=TOKEN``) is no part of the
package either.
"""

import os
import posixpath
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from packaging.tags import Tag, parse_tag
from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import InvalidVersion, Version

from envlock.host.rooted import located
from envlock.lock.environment import InstalledDistribution
from envlock.runtime.masking import looks_secret
from envlock.wheels.archive import Member
from envlock.wheels.launcher import EntryPoints, as_in_wheel, entry_points, is_generated
from envlock.wheels.record import is_bytecode, is_made_by_installer, normal

_INTERPRETER = re.compile(r"bin/python[0-9.]*")
# Of ssh the user is part of the address: git@host.
_LOGIN = re.compile(rb"(?<=://)(?!git@)[^/\s@<>\"']+@")
# No scheme before it: for one, each letter of a long word would be tried as its start.
_ADDRESS = re.compile(rb"(?<=://)[^\s<>\"']+")
_PARAMETER = re.compile(rb"(?<=[?&#])([^=&#]+)=[^&#]*&?")
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
_SITE_NAMES = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The members of a wheel, sorted, its metadata last; ``left_out`` are (path, why no wheel has it)."""

    members: tuple[Member, ...]
    left_out: tuple[tuple[str, str], ...]


def contents(distribution: InstalledDistribution) -> Contents:
    """Return what the wheel of an installed distribution is made of: its RECORD's files, and the carried.

    Files that RECORD lists and that are gone are left out; ``distribution.modified`` names them.
    """
    dist_info = distribution.dist_info
    scripts = entry_points(_text(installed(distribution, f"{dist_info}/entry_points.txt")))
    modified, replaced = frozenset(distribution.modified), frozenset(distribution.replaced)
    sources = _sources([normal(entry.path) for entry in distribution.record])
    members: dict[str, Member] = {}
    left_out: list[tuple[str, str]] = []
    for entry in distribution.record:
        path = normal(entry.path)
        if path in replaced or is_made_by_installer(path, dist_info) or _has_source(path, sources):
            continue
        # Files that differ from RECORD are hashed again, as they are now.
        sha256 = None if entry.path in modified else entry.sha256
        made = _member(distribution, path, scripts, sha256)
        if isinstance(made, str):
            left_out.append((path, made))
            continue
        for member in made:
            members.setdefault(member.name, member)
    for member in _carried(distribution):
        members.setdefault(member.name, member)
    for member in _metadata(distribution, members):
        members[member.name] = member
    stated = members[f"{dist_info}/METADATA"]
    with stated.open() as stream:
        content = stream.read()
    without = _without_logins(content)
    if without is not content:
        members[stated.name] = Member(name=stated.name, executable=False, content=without)
        left_out.append(("a login", "in a URL of its METADATA"))
    target = metadata_directory(distribution)
    named = [_named(one, _moved(one.name, dist_info, target)) for one in members.values()]
    named.sort(key=lambda one: (one.name.startswith(f"{target}/"), one.name))
    return Contents(members=tuple(named), left_out=tuple(sorted(left_out)))


def metadata_directory(distribution: InstalledDistribution) -> str:
    """Return what the wheel calls its metadata directory: as installed, where name and version are in it."""
    name, _, version = distribution.dist_info.removesuffix(".dist-info").partition("-")
    try:
        agrees = canonicalize_name(name) == distribution.name and Version(version) == Version(
            distribution.version
        )
    except InvalidVersion:
        agrees = False
    if agrees and distribution.dist_info.endswith(".dist-info"):
        return distribution.dist_info
    return f"{distribution.name.replace('-', '_')}-{distribution.version}.dist-info"


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


def holds_login(distribution: InstalledDistribution) -> bool:
    """Tell whether a URL in the headers of the installed METADATA holds a login."""
    try:
        content = installed(distribution, f"{distribution.dist_info}/METADATA").read_bytes()
    except OSError:
        return False
    return _without_logins(content) is not content


def installed(distribution: InstalledDistribution, path: str) -> Path:
    """Return where a file that RECORD lists as ``path`` can be read."""
    return located(distribution.root, _source(distribution, path))


def _source(distribution: InstalledDistribution, path: str) -> str:
    return os.path.normpath(os.path.join(distribution.site, path))


def executable(path: Path) -> bool:
    """Tell whether the file's owner may run it."""
    return bool(path.stat().st_mode & stat.S_IXUSR)


def _named(member: Member, name: str) -> Member:
    return member if member.name == name else replace(member, name=name)


def _moved(name: str, dist_info: str, target: str) -> str:
    return f"{target}/{name.removeprefix(f'{dist_info}/')}" if name.startswith(f"{dist_info}/") else name


def _member(
    distribution: InstalledDistribution, path: str, scripts: EntryPoints, sha256: str | None
) -> Sequence[Member] | str:
    """Return the member for an installed path, none for one to leave out; or why no wheel can hold it."""
    file = installed(distribution, path)
    if not _is_file(file):
        return ()
    fault = _fault(path, file)
    if fault is not None:
        return fault
    runs = executable(file)
    if not _is_outside(path):
        return (Member(name=path, executable=runs, path=str(file), sha256=sha256),)
    source, prefix = Path(_source(distribution, path)), _prefix(distribution.site)
    if prefix not in source.parents or _is_interpreter(source.relative_to(prefix)):
        return "lies outside the environment"
    data = distribution.dist_info.removesuffix(".dist-info") + ".data"
    relative = source.relative_to(prefix).as_posix()
    if posixpath.dirname(relative) != "bin":
        name = f"{data}/data/{relative}"
        return (Member(name=name, executable=runs, path=str(file), sha256=sha256),)
    return tuple(_script(source, file, f"{data}/scripts/{source.name}", scripts))


def _fault(path: str, file: Path) -> str | None:
    if not os.access(file, os.R_OK, effective_ids=True):
        return "can't be read"
    if not path.isprintable() or "\\" in path:
        return "has a name that no wheel can hold"
    return None


def _is_outside(path: str) -> bool:
    return path.startswith(("../", "/"))


def _is_interpreter(relative: PurePath) -> bool:
    """Tell whether a file of the prefix is the environment's own: no distribution brings it."""
    return relative.as_posix() == "pyvenv.cfg" or _INTERPRETER.fullmatch(relative.as_posix()) is not None


def _sources(paths: Sequence[str]) -> frozenset[str]:
    """Return those of ``paths`` that bytecode among them is made from."""
    return frozenset(map(_source_of, filter(is_bytecode, paths))).intersection(paths)


def _source_of(path: str) -> str:
    return f"{path.rpartition('.')[0]}.py"


def _has_source(path: str, sources: frozenset[str]) -> bool:
    """Tell whether this is bytecode that the interpreter makes anew; without a source it is the module."""
    if not is_bytecode(path):
        return False
    return "__pycache__" in path.split("/") or _source_of(path) in sources


def _carried(distribution: InstalledDistribution) -> Iterator[Member]:
    for one in distribution.carried:
        file = located(distribution.root, one.path)
        if _is_file(file):
            yield Member(name=one.name, executable=executable(file), path=str(file), sha256=one.sha256)


def _metadata(distribution: InstalledDistribution, members: Mapping[str, Member]) -> Iterator[Member]:
    """Yield what a wheel must have and the distribution has not."""
    dist_info = distribution.dist_info
    if f"{dist_info}/METADATA" not in members:
        lines = (
            "Metadata-Version: 2.1",
            f"Name: {distribution.raw_name}",
            f"Version: {distribution.version}",
        )
        text = "\n".join(lines) + "\n"
        yield Member(name=f"{dist_info}/METADATA", executable=False, content=text.encode())
    if distribution.tags == () and f"{dist_info}/WHEEL" not in members:
        yield wheel_file(dist_info, tuple(members))


def _without_logins(content: bytes) -> bytes:
    """Return METADATA without the logins in URLs of its headers; itself where there are none."""
    end = found.start() if (found := _END_OF_HEADERS.search(content)) else len(content)
    bare = _ADDRESS.sub(_without_tokens, _LOGIN.sub(b"", content[:end]))
    return content if len(bare) == end else bare + content[end:]


def _without_tokens(address: re.Match[bytes]) -> bytes:
    text = address.group()
    bare = _PARAMETER.sub(lambda one: b"" if looks_secret(one[1].decode("latin-1")) else one[0], text)
    return text if bare == text else bare.replace(b"?#", b"#").rstrip(b"?&#")


def _script(source: Path, file: Path, name: str, scripts: EntryPoints) -> Iterator[Member]:
    """Yield the script installed as ``source``, whose bytes lie in ``file``, unless it is generated."""
    with file.open("rb") as stream:
        is_text = stream.read(2) == b"#!"
    if not is_text:
        yield Member(name=name, executable=True, path=str(file))
        return
    content = file.read_bytes()
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
