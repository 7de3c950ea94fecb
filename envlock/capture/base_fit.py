"""Whether an environment can stand on a base: its interpreter, C library and shared libraries. Pure.

Rules kept here (docs/image.md, "Bases"):

* The interpreter must be the captured one: implementation, exact version and ABI. Wheels are built for
  an ABI, and the same seed gives the same numbers only with the same Python.
* The C library must be new enough for every wheel's ``manylinux_X_Y`` (PEP 600) or ``musllinux_X_Y``
  (PEP 656) tag, and of that kind.
* A shared library that the environment needs and the base lacks is a gap: what it is for may never run.
"""

import re
from collections.abc import Iterable, Iterator

from envlock.capture.base_contents import BaseContents, BaseInterpreter
from envlock.lock.model import Gap, Pairs, Python
from envlock.runtime.errors import InputError

_TAG = re.compile(r"(many|musl)linux_(\d+)_(\d+)_")
# PEP 513, 571 and 599 as PEP 600 names them.
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_KINDS = {"many": "glibc", "musl": "musl"}
_LIBC = re.compile(r"(glibc|musl) (\d+)\.(\d+)")

Needs = tuple[str, int, int]
"""The C library of a tag: kind, major, minor."""


def chosen(contents: BaseContents, wanted: Python, where: str) -> BaseInterpreter:
    """Return the base's interpreter that is ``wanted``. Raises InputError, which says what there is."""
    for one in contents.interpreters:
        found = one.python
        if (found.implementation, found.version, found.abi) == (
            wanted.implementation,
            wanted.version,
            wanted.abi,
        ):
            return one
    there = ", ".join(f"{_named(one.python)} at {one.executable}" for one in contents.interpreters)
    raise InputError(
        "the base does not bring the environment's interpreter",
        where=where,
        expected=_named(wanted),
        found=there or "no Python interpreter",
        hint="--base host packs this one; --base python-slim is the official image of this version",
    )


def check_libc(libc: str, wheels: Iterable[str], where: str) -> None:
    """Raise InputError when the C library ``libc`` (``glibc 2.36``) does not carry one of ``wheels``.

    ``wheels`` are file names, ``where`` names the base.
    """
    known = _LIBC.match(libc)
    if known is None:
        return
    kind, version = known[1], (int(known[2]), int(known[3]))
    refused = []
    for name in wheels:
        needs = tuple(_needs(name))
        if needs and not any(one[0] == kind and one[1:] <= version for one in needs):
            refused.append((min(needs), name))
    if refused:
        (needed, major, minor), name = max(refused)
        more = f" and {len(refused) - 1} more wheels" if len(refused) > 1 else ""
        raise InputError(
            "the base's C library does not carry the environment",
            where=where,
            expected=f"{needed} {major}.{minor} or later, for {name}{more}",
            found=libc,
            hint="a newer base, or --base host, which packs this machine's own C library",
        )


def absent(needed: Pairs, contents: BaseContents) -> tuple[Gap, ...]:
    """Return a gap for each library of ``needed`` (soname → who needs it) that the base lacks."""
    there = dict(contents.libraries)
    return tuple(
        Gap(subject=name, reason=f"the base has no library of this name; needed by {by}")
        for name, by in needed
        if name not in there
    )


def _named(python: Python) -> str:
    return f"{python.implementation} {python.version} ({python.abi})"


def _needs(wheel: str) -> Iterator[Needs]:
    """Yield what each platform tag of a wheel asks for; any one of them will do (PEP 425)."""
    for tag in wheel.removesuffix(".whl").rpartition("-")[2].split("."):
        found = _TAG.match(tag)
        legacy = _LEGACY.get(tag.partition("_")[0])
        if found is not None:
            yield _KINDS[found[1]], int(found[2]), int(found[3])
        elif legacy is not None:
            yield "glibc", *legacy
