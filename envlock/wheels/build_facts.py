"""How a package that no index has was built: what its installed files and its surroundings still tell.

* ``generator``: the build backend, as WHEEL names it.
* ``compiler``: what the compilers of its extension modules wrote into them (ELF section ``.comment``).
* ``torch`` and ``cuda``: the versions in the environment, where the package requires torch, since an
  extension of torch runs with the one it was built for.
"""

import ast
import mmap
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import Pairs
from envlock.wheels.archive import Member
from envlock.wheels.members import installed

_OWN_GENERATOR = "envlock"
_GENERATOR = re.compile(r"^Generator: *(.+?) *$", re.MULTILINE)
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MAGIC = b"\x7fELF"
_SECTION = {1: ("IIIIII", 32, 46), 2: ("IIQQQQ", 40, 58)}
_LONGEST = 4096
_LONGEST_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The versions that an extension of torch is built for; None where there is no torch."""

    torch: str | None
    cuda: str | None

    @classmethod
    def of(cls, distributions: Iterable[InstalledDistribution]) -> "Environment":
        """Read them from the installed torch, without importing it."""
        torch = next((one for one in distributions if one.name == "torch"), None)
        if torch is None:
            return cls(torch=None, cuda=None)
        return cls(torch=torch.version, cuda=_cuda(installed(torch, "torch/version.py")))


def read(distribution: InstalledDistribution, members: Sequence[Member], environment: Environment) -> Pairs:
    """Return the facts of a distribution that is made of ``members``, sorted."""
    facts = {"generator": _generator(distribution), "compiler": ", ".join(_compilers(members)) or None}
    if environment.torch is not None and "torch" in _required(distribution):
        facts |= {"torch": environment.torch, "cuda": environment.cuda}
    return tuple(sorted((name, value) for name, value in facts.items() if value))


def compilers(data: bytes | mmap.mmap) -> frozenset[str]:
    """Return the strings of the ``.comment`` section of an ELF file; none where it is no ELF or broken."""
    try:
        return frozenset(_comments(data))
    except (struct.error, ValueError, IndexError, OverflowError):
        return frozenset()


def _compilers(members: Iterable[Member]) -> list[str]:
    found: set[str] = set()
    for member in members:
        if ".so" in member.name and member.path is not None:
            found |= _in_file(Path(member.path))
    return sorted(found)


def _in_file(path: Path) -> frozenset[str]:
    try:
        with path.open("rb") as stream:
            if stream.read(4) != _MAGIC:
                return frozenset()
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return compilers(data)
    except (OSError, ValueError):
        return frozenset()


def _comments(data: bytes | mmap.mmap) -> Iterator[str]:
    """Yield the strings; sections are found by name (System V gABI, chapter 4, "Sections")."""
    if data[:4] != _MAGIC or data[4] not in _SECTION or data[5] not in (1, 2):
        return
    order = "<" if data[5] == 1 else ">"
    shape, at_table, at_sizes = _SECTION[data[4]]
    (table,) = struct.unpack_from(order + ("Q" if data[4] == 2 else "I"), data, at_table)  # noqa: PLR2004  # 64 bits
    size, count, names = struct.unpack_from(order + "HHH", data, at_sizes)
    sections = [struct.unpack_from(order + shape, data, table + index * size) for index in range(count)]
    strings = sections[names][4]
    for section in sections:
        start = strings + section[0]
        if data[start : start + 9] == b".comment\0":
            text = data[section[4] : section[4] + min(section[5], _LONGEST)]
            parts = (part.decode("utf-8", "replace") for part in text.split(b"\0") if part)
            yield from (part for part in parts if part.isprintable() and len(part) <= _LONGEST_SHOWN)


def _generator(distribution: InstalledDistribution) -> str | None:
    """Return what built the wheel; None for one whose WHEEL is envlock's own or is made anew."""
    name = f"{distribution.dist_info}/WHEEL"
    if name in distribution.replaced:
        return None
    try:
        text = installed(distribution, name).read_text("utf-8", "replace")
    except OSError:
        return None
    matched = _GENERATOR.search(text)
    return None if matched is None or matched[1] == _OWN_GENERATOR else matched[1][:_LONGEST_SHOWN]


def _required(distribution: InstalledDistribution) -> set[str]:
    """Return the normalised names of what it requires; a line that is no requirement names nothing."""
    matched = (_REQUIREMENT.match(line) for line in distribution.requires)
    return {canonicalize_name(one[0]) for one in matched if one is not None}


def _cuda(version_file: Path) -> str | None:
    """Return ``cuda`` of ``torch/version.py``; None for a build without it."""
    try:
        tree = ast.parse(version_file.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if any(isinstance(one, ast.Name) and one.id == "cuda" for one in targets) and isinstance(
            value, ast.Constant
        ):
            return value.value if isinstance(value.value, str) else None
    return None
