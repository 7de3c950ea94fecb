"""The definition of the ``host`` base (images/host.toml) as a value."""

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import Any

from envlock.host.data import data
from envlock.runtime.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Matches = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Where ``when`` (a pattern) is loaded, the libraries ``wants`` are opened by name while running."""

    when: str
    wants: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDefinition:
    """The file's tables; images/host.toml says what each entry means."""

    essential: tuple[str, ...]
    essential_rpm: tuple[str, ...]
    essential_apk: tuple[str, ...]
    owners: tuple[str, ...]
    programs: tuple[str, ...]
    never_packages: tuple[str, ...]
    links: tuple[str, ...]
    links_to: tuple[str, ...]
    never_libraries: tuple[str, ...]
    prefer_libraries: tuple[str, ...]
    opened: tuple[Opened, ...]
    keep: tuple[str, ...]
    exclude: tuple[str, ...]
    configuration: tuple[str, ...]
    bundles: tuple[str, ...]
    interpreter_keep: tuple[str, ...]
    interpreter_exclude: tuple[str, ...]


@cache
def read(path: Path | None = None) -> HostDefinition:
    """Read the definition that ships with envlock, or the one at ``path``, once. Raises InputError."""
    path = path or data("images/host.toml")
    try:
        value = tomllib.loads(path.read_text("utf-8"))
        return _definition(value)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError("not a base definition", where=path.name, found=str(error)) from error


def matcher(patterns: Iterable[str]) -> Matches:
    """Return a test for "matches one of these shell patterns", in one pass over the text."""
    pattern = "|".join(translate(one) for one in patterns)
    found = re.compile(pattern or r"(?!)").match
    return lambda text: found(text) is not None


def _definition(value: dict[str, Any]) -> HostDefinition:
    libraries = value["libraries"]
    return HostDefinition(
        essential=tuple(value["packages"]["essential"]),
        essential_rpm=tuple(value["packages"]["essential-rpm"]),
        essential_apk=tuple(value["packages"]["essential-apk"]),
        owners=tuple(value["packages"]["owners"]),
        programs=tuple(value["packages"]["programs"]),
        never_packages=tuple(value["packages"]["never"]),
        links=tuple(value["links"]["keep"]),
        links_to=tuple(value["links"]["to"]),
        never_libraries=tuple(libraries["never"]),
        prefer_libraries=tuple(libraries["prefer"]),
        opened=tuple(Opened(when=one["when"], wants=tuple(one["wants"])) for one in libraries["dlopen"]),
        keep=tuple(value["files"]["keep"]),
        exclude=tuple(value["files"]["exclude"]),
        configuration=tuple(value["files"]["configuration"]),
        bundles=tuple(value["files"]["bundles"]),
        interpreter_keep=tuple(value["interpreter"]["keep"]),
        interpreter_exclude=tuple(value["interpreter"]["exclude"]),
    )
