"""Which wheels share a layer. Pure: only the lock's sizes and names decide.

Rules kept here (docs/image.md):

* A big wheel gets a layer of its own; small ones share a fixed number of layers, by the hash of
  their name, so that one changed package touches one layer.
* No more than 60 layers with the base's. Whether a wheel holds Python is not in the lock, so there is
  room for the bytecode of each.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from envlock.lock.model import Package
from envlock.runtime.errors import InputError

MAX_LAYERS: Final = 60

_BIG: Final = 4 << 20
_SHARED_LAYERS: Final = 8
_OWN_LAYERS: Final = 2
_RUNTIME_BYTECODE: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelGroup:
    """The packages of one layer, sorted by name."""

    packages: tuple[Package, ...]

    @property
    def size(self) -> int:
        """The wheels' bytes, as the lock has them."""
        return sum(package.wheel.size for package in self.packages)

    @property
    def comment(self) -> str:
        """The layer's history entry."""
        return ", ".join(f"{package.name} {package.version}" for package in self.packages)


def room(base: int, *, bytecode: bool) -> int:
    """Return how many layers of wheels there may be. Raises InputError when they are too few."""
    above = _OWN_LAYERS + _RUNTIME_BYTECODE if bytecode else _OWN_LAYERS
    needed = (_SHARED_LAYERS + 1) * (2 if bytecode else 1)
    room = MAX_LAYERS - above - base
    if room < needed:
        raise InputError(
            "too many layers in the base",
            expected=f"at most {MAX_LAYERS - above - needed}",
            found=f"{base}",
            hint="envlock build --no-bytecode needs fewer layers" if bytecode else None,
        )
    return room // 2 if bytecode else room


def grouped(packages: tuple[Package, ...], room: int) -> tuple[WheelGroup, ...]:
    """Return the wheels' layers, bottom first, at most ``room``."""
    big = sorted((one for one in packages if one.wheel.size >= _BIG), key=_by_size_class)
    alone = big[: room - _SHARED_LAYERS]
    names = {one.name for one in alone}
    shared: dict[int, list[Package]] = {}
    for package in sorted(packages, key=lambda one: one.name):
        if package.name not in names:
            shared.setdefault(_share(package.name), []).append(package)
    return tuple(WheelGroup(packages=(one,)) for one in alone) + tuple(
        WheelGroup(packages=tuple(shared[number])) for number in sorted(shared)
    )


def _by_size_class(package: Package) -> tuple[int, str]:
    """Order by powers of two, so that a new version of about the same size keeps its place."""
    return -package.wheel.size.bit_length(), package.name


def _share(name: str) -> int:
    return hashlib.sha256(name.encode()).digest()[0] % _SHARED_LAYERS
