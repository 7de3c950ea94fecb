"""A lock in which one small package has changed: a module of it got another comment."""

import base64
import hashlib
import io
import time
import zipfile
from dataclasses import replace

from envlock.host.store import Store
from envlock.lock.model import Lock

SMALL = 100_000
"""Bytes of the smallest wheel that is taken: no package changes by a stub."""


def changed(lock: Lock, store: Store) -> Lock:
    """Return ``lock`` with another wheel of a small package, which is then in ``store``."""
    by_size = sorted(lock.packages, key=lambda one: one.wheel.size)
    old = next((one for one in by_size if one.wheel.size > SMALL and not one.wheel.path), by_size[0])
    data = _altered(store.path(old.wheel.sha256).read_bytes())
    with store.writing() as sink:
        sink.write(data)
    new = replace(old, wheel=replace(old.wheel, sha256=sink.digest, size=sink.size))
    return replace(lock, packages=tuple(new if one is old else one for one in lock.packages))


def _altered(wheel: bytes) -> bytes:
    """Return the wheel with a comment at the end of its first module, and with a right RECORD."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(wheel)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        module = next(name for name in old.namelist() if name.endswith(".py"))
        data = old.read(module) + f"\n# {time.time_ns()}\n".encode()
        for info in old.infolist():
            name = info.filename
            text = data if name == module else old.read(name)
            if name.endswith(".dist-info/RECORD"):
                text = b"\n".join(_row(line, module, data) for line in text.splitlines()) + b"\n"
            new.writestr(info, text, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _row(line: bytes, module: str, data: bytes) -> bytes:
    if not line.startswith(f"{module},".encode()):
        return line
    value = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{module},sha256={value},{len(data)}".encode()
