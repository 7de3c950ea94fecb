"""What makes two environments one: the environment-id (docs/lockfile.md).

The id is the SHA-256 of the RFC 8785 canonical JSON of the facts that decide which bytes run: the
interpreter, each package's version and wheel, the base layers and the platform. Where a wheel came
from, how its hash is known, the CPU, the GPU, the project, the gaps and the threads are not in it.
"""

from envlock.core import canonical
from envlock.core.digest import Digest
from envlock.lock.model import LOCK_VERSION, Lock, Package


def environment_id(lock: Lock) -> Digest:
    """Return the environment-id. The order in which the lock lists its packages does not matter."""
    packages = sorted([one.name, one.version, one.wheel.sha256.hex] for one in lock.packages)
    return _digest(
        {
            "version": LOCK_VERSION,
            "python": {
                "implementation": lock.python.implementation,
                "version": lock.python.version,
                "abi": lock.python.abi,
            },
            "packages": packages,
            "base": [str(layer.diff_id) for layer in lock.base.layers],
            "platform": lock.platform,
        }
    )


def entry_digest(package: Package) -> Digest:
    """Return the digest of one package's entry, so that a changed entry can be named.

    The environment-id alone says that a lock was altered, not where.
    """
    return _digest([package.name, package.version, package.wheel.sha256.hex, package.wheel.size])


def _digest(value: object) -> Digest:
    return Digest.of(canonical.dumps(value))
