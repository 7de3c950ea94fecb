"""Made-up wheels in the shape of ``nvidia-*``: a few files, nearly all bytes in one or two shared libraries.

Their ``nvidia/__init__.py`` is in each of them, as in the real ones. Half of a library's bytes are random,
the other half repeats itself, so that it deflates to about half, as the real ones do.
"""

import base64
import hashlib
import os
import zipfile

from envlock.host.store import Store
from envlock.lock.model import Package, Wheel

COUNT = 8
PIECE = 1 << 20
VERSION = "12.0.1"


def libraries(size: int, store: Store) -> tuple[Package, ...]:
    """Return packages of which the wheels, together about ``size`` bytes, are then in ``store``."""
    return tuple(_library(f"nvidia-made-up-{number}", size // COUNT, store) for number in range(COUNT))


def _library(name: str, size: int, store: Store) -> Package:
    stem = name.replace("-", "_")
    filename = f"{stem}-{VERSION}-py3-none-manylinux2014_x86_64.whl"
    path = store.root / filename
    rows: list[str] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as wheel:
        for library in ("libmain", "libmore"):
            _write(wheel, f"nvidia/{stem}/lib/{library}.so.12", size // 2, rows)
        for name_of_file, data in {
            "nvidia/__init__.py": b"",
            f"nvidia/{stem}/__init__.py": b"",
            f"{stem}-{VERSION}.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
            f"{stem}-{VERSION}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\n".encode(),
        }.items():
            wheel.writestr(name_of_file, data)
            rows.append(_row(name_of_file, hashlib.sha256(data), len(data)))
        record = f"{stem}-{VERSION}.dist-info/RECORD"
        wheel.writestr(record, "\n".join((*rows, f"{record},,")) + "\n")
    digest = store.add_file(path)
    length = path.stat().st_size
    path.unlink()
    return Package(
        name=name,
        version=VERSION,
        wheel=Wheel(name=filename, sha256=digest, size=length, url=f"https://index.example/{filename}"),
        source="index",
        evidence="recorded",
    )


def _write(wheel: zipfile.ZipFile, name: str, compressed: int, rows: list[str]) -> None:
    """Write a library of about ``compressed`` bytes in the wheel."""
    state, written = hashlib.sha256(), 0
    with wheel.open(name, "w", force_zip64=True) as member:
        for _ in range(compressed // (PIECE // 2)):
            piece = os.urandom(PIECE // 2) + os.urandom(256) * (PIECE // 512)
            member.write(piece)
            state.update(piece)
            written += len(piece)
    rows.append(_row(name, state, written))


def _row(name: str, state: "hashlib._Hash", size: int) -> str:
    return f"{name},sha256={base64.urlsafe_b64encode(state.digest()).rstrip(b'=').decode()},{size}"
