"""What ``envlock capture`` was asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "host"
"""The base that is made of this machine's own files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for."""

    python: Path | None
    project: Path | None
    offline: bool
    ca_bundle: str | None
    output: Path
    source: str | None = None
    """The image or container whose environment is captured; None: this machine's."""
    base: str = HOST
    """What the image stands on."""
    verify: bool = False
    """Hash every installed file, whatever is remembered."""
    job: tuple[str, ...] = ()
    """A command to run once, whose libraries are seen as it opens them."""
    requirements: tuple[Path, ...] = ()
    """What to install and capture instead of the environment that ``python`` names, as files for pip."""
    constraints: tuple[Path, ...] = ()
    """What its versions must keep to."""

    @property
    def prefix(self) -> Path | None:
        """The environment whose pip.conf counts, where it is not the active one."""
        if self.python is None or self.source is not None:
            return None
        return self.python if self.python.is_dir() else self.python.absolute().parent.parent
