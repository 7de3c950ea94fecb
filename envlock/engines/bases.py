"""What an environment stands on, and the parts of its lock that this decides; the host's own files first."""

from dataclasses import dataclass

from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.image.base import pack_host
from envlock.image.packing import Packing
from envlock.lock.environment import Environment
from envlock.lock.model import Base, Gap, OperatingSystem, Pairs, Python, SystemPackage
from envlock.runtime.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An environment as it stands on a base."""

    base: Base
    python: Python
    os: OperatingSystem
    system_packages: tuple[SystemPackage, ...]
    libraries: Pairs
    gaps: tuple[Gap, ...]


def on_host(
    environment: Environment, source: str | None, store: Store, progress: Progress, packs: Packing
) -> Standing:
    """Pack the captured machine's own files, or those of the image ``source``.

    Raises InputError where there is nothing to pack.
    """
    if environment.host_files is None:
        reasons = [gap.reason for gap in environment.gaps if gap.subject == "base"]
        raise InputError("no base can be packed", where=source, found="; ".join(reasons))
    packed = pack_host(
        environment.host_files, python=environment.python, store=store, progress=progress, packs=packs
    )
    return Standing(
        base=packed.base,
        python=environment.python,
        os=environment.os,
        system_packages=tuple(one.package for one in environment.host_files.packages),
        libraries=environment.libraries,
        gaps=packed.gaps,
    )
