"""What of the machine this process may use, by its control group and each of its ancestors (cgroups(7)).

``root`` is the directory that holds ``proc`` and ``sys``. A limit that can't be read is no limit.
"""

from __future__ import annotations

import math
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator


def cores(affinity: int, root: str = "/") -> int:
    """Return how many cores may be used at once, at least 1: affinity, cut by the groups' bandwidth."""
    limits = (math.ceil(one) for one in map(_bandwidth, _groups(root, "cpu")) if one is not None)
    return max(1, min((affinity, *limits)))


def memory(total: int, root: str = "/") -> int:
    """Return how many bytes may be used: the machine's ``total``, cut by the groups' limits."""
    return min((total, *(one for one in map(_bytes, _groups(root, "memory")) if one is not None)))


def _groups(root: str, controller: str) -> Iterator[str]:
    """Yield the directory of the process's group and of each ancestor, in both versions of cgroups."""
    for line in _text(os.path.join(root, "proc/self/cgroup")).splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and controller not in controllers.split(","):
            continue
        top = os.path.join(root, "sys/fs/cgroup", controller if controllers else "").rstrip("/")
        place = os.path.join(top, path.lstrip("/")).rstrip("/")
        while len(place) >= len(top):
            yield place
            place = os.path.dirname(place)


def _bandwidth(group: str) -> float | None:
    """Return quota divided by period (v2 ``cpu.max``, v1 ``cpu.cfs_*_us``); None where there is no limit."""
    words = _text(os.path.join(group, "cpu.max")).split()
    if not words:
        words = [_text(os.path.join(group, f"cpu.cfs_{name}_us")).strip() for name in ("quota", "period")]
    quota, period = (*words, "", "")[:2]
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _bytes(group: str) -> int | None:
    """Return the limit (v2 ``memory.max``, v1 ``memory.limit_in_bytes``); ``max`` is none."""
    text = _text(os.path.join(group, "memory.max")) or _text(os.path.join(group, "memory.limit_in_bytes"))
    return int(text) if text.strip().isdecimal() else None


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
