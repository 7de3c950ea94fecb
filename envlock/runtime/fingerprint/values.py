"""What a fingerprint is: for each framework, a hash for each operation."""

from __future__ import annotations

from envlock.runtime.image import Cpu
from envlock.runtime.value import Value


class FrameworkPrint(Value):
    """What one framework computed, or why it could not. Pairs are sorted by operation."""

    name: str
    version: str = ""
    list: int = 0
    """The version of the list of operations; only equal ones are compared."""
    kernels: str = ""
    """What the framework says of the kernels that it chose on this CPU."""
    milliseconds: int = 0
    failure: str | None = None
    """Why the list was not computed to its end: no import, a crash, too slow."""
    operations: tuple[tuple[str, str], ...] = ()
    """(operation, hash): 16 hexadecimal digits of SHA-256."""
    absent: tuple[tuple[str, str], ...] = ()
    """(operation, class of the error that it raised)."""
    unstable: tuple[str, ...] = ()
    """Operations whose hash was another one when they ran again on this host; never compared."""

    @property
    def stable(self) -> dict[str, str]:
        """The operations that can be compared, with their hashes."""
        return {name: found for name, found in self.operations if name not in self.unstable}


class Fingerprint(Value):
    """A host's numerics under one image and one run's settings."""

    cpu: Cpu
    isa: str
    """The manifest's ``cpu.isa``: portable or native."""
    threads: int
    level: str
    """The determinism level, whose switches act on the frameworks."""
    frameworks: tuple[FrameworkPrint, ...]
    """Sorted by name."""

    @property
    def count(self) -> int:
        """How many operations have a hash."""
        return sum(len(one.operations) for one in self.frameworks)

    @property
    def digest(self) -> str:
        """SHA-256 over every stable operation and its hash: equal numerics at a glance."""
        import hashlib

        lines = [f"{name} {found}\n" for one in self.frameworks for name, found in one.stable.items()]
        return hashlib.sha256("".join(sorted(lines)).encode("utf-8")).hexdigest()
