"""What an image that envlock built says of itself: the lock that it was built from, and its variables.

Believed only where both files agree, and only of what files can't tell: what was captured decides
(:mod:`envlock.lock.adoption`).
"""

import json
from dataclasses import dataclass
from pathlib import Path

from envlock.core.digest import Digest
from envlock.host.rooted import located
from envlock.image import runtime
from envlock.lock import codec, file
from envlock.lock.model import Gap, Lock
from envlock.runtime.errors import EnvlockError

_LOCK = "/opt/envlock/pylock.envlock.toml"
_FACTS = "/opt/envlock/image.json"
_EDITED = Gap(
    subject="envlock-runtime",
    reason="edited since the image was built; an image of this lock has the runtime of who builds it",
)

Variables = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """``baked``: the variables that the build set, but for those that the captured environment had."""

    lock: Lock
    baked: Variables
    runtime_edited: bool
    """The runtime's source is not the one that the image was built with."""

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What the image says of itself that is not so."""
        return (_EDITED,) if self.runtime_edited else ()

    def of_user(self, variables: Variables) -> Variables:
        """Return the variables without those that the build set and nobody changed."""
        ours = frozenset(self.baked)
        return tuple(one for one in variables if one not in ours)


def read(root: Path) -> Built | None:
    """Return what the image whose files lie in ``root`` says; None where envlock did not build it."""
    try:
        data = file.read_bytes(located(root, _LOCK))
        facts = json.loads(file.read_bytes(located(root, _FACTS)))
        if facts["lock-sha256"] != Digest.of(data).hex:
            return None
        lock = codec.loads(data, _LOCK)
        captured = {name for name, _ in (*lock.environment, *lock.cpu.threads)}
        baked = tuple(pair for pair in dict(facts["env"]).items() if pair[0] not in captured)
        edited = facts["runtime"] != str(runtime.digest(runtime.files_in(root)))
    except (EnvlockError, OSError, ValueError, TypeError, KeyError):
        return None
    return Built(lock=lock, baked=baked, runtime_edited=edited)
