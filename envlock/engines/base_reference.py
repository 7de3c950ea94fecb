"""What ``--base`` names: ``host``, an image wherever it lies, a Dockerfile, or a definition of one of these.

A word without a scheme is, in this order: ``host``, a file or directory that is there, a definition of
``images/``, the packaged ``Dockerfile.base``, a name in a registry.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from envlock.host.data import data
from envlock.lock.model import Python
from envlock.oci.name import typed
from envlock.oci.registry.reference import Reference
from envlock.oci.source import ArchiveSource
from envlock.runtime.errors import InputError, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Kind = Literal["registry", "docker-daemon", "oci", "oci-archive", "docker-archive", "dockerfile"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_PACKAGED: Final = "Dockerfile.base"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseReference:
    """A base that somebody else made. ``target``: a name in a registry or an engine, or a path."""

    kind: Kind
    target: str

    @property
    def name(self) -> str:
        """What the lock may say of it: of a path, only the last part."""
        return self.target if self.kind in ("registry", "docker-daemon") else Path(self.target).name

    def __str__(self) -> str:
        """Return the text that :func:`parse` reads."""
        return f"{self.kind}:{self.target}"


def parse(text: str, python: Python) -> BaseReference:
    """Read ``--base``; ``python`` is the environment's, whose version a definition may name.

    Raises UsageError for a name that is empty or that no registry takes, InputError for a definition that
    can't be read.
    """
    kind, colon, target = text.partition(":")
    if not text or (colon and not target):
        expected = f"host, an image's name, or one of {', '.join(KINDS)} with a colon and a name"
        raise UsageError("no base is named", where=f"--base {text}", expected=expected)
    named = next((known for known in KINDS if colon and known == kind), None)
    if named == "registry":
        return _in_registry(target)
    return _plain(text, python) if named is None else BaseReference(kind=named, target=target)


def _plain(text: str, python: Python) -> BaseReference:
    path, packaged = Path(text), data(f"images/{text}.toml")
    if path.is_dir():
        return BaseReference(kind="oci", target=text)
    if path.is_file():
        return _file(path, python)
    if _NAME.fullmatch(text) and packaged.is_file():
        return _defined(packaged, python)
    if text == _PACKAGED:
        return BaseReference(kind="dockerfile", target=str(data(_PACKAGED)))
    return _in_registry(text)


def _in_registry(target: str) -> BaseReference:
    with typed(f"--base {target}"):
        Reference.parse(target)
    return BaseReference(kind="registry", target=target)


def _file(path: Path, python: Python) -> BaseReference:
    if path.suffix == ".toml":
        return _defined(path, python)
    if "dockerfile" in path.name.lower():
        return BaseReference(kind="dockerfile", target=str(path))
    is_oci = ArchiveSource(path).has("index.json")
    return BaseReference(kind="oci-archive" if is_oci else "docker-archive", target=str(path))


def _defined(file: Path, python: Python) -> BaseReference:
    text = _stated(file, python)
    try:
        return parse(text, python)
    except UsageError as error:
        raise InputError(error.what, where=file.name, expected=error.expected, found=repr(text)) from error


def _stated(file: Path, python: Python) -> str:
    """Return the reference that a definition states, with the environment's Python filled in."""
    try:
        stated = tomllib.loads(file.read_text("utf-8"))["reference"]
        if not isinstance(stated, str):
            raise TypeError(f"reference: {stated!r}")  # noqa: TRY301 (told as every other fault of the file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "not a base definition",
            where=file.name,
            expected='reference = "registry:NAME:TAG", or another base',
            found=f"{type(error).__name__}: {error}",
        ) from error
    return stated.replace("{version}", python.version).replace("{minor}", python.minor)
