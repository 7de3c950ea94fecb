"""Wheels made byte by byte, so that no compressor's version and no library's rule shapes them.

:class:`Zip` writes a zip that is right unless an entry says otherwise: hostile archives are right
ones with one field changed.
"""

import base64
import hashlib
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from envlock.core.digest import Digest
from envlock.lock.model import (
    Base,
    BaseLayer,
    Cpu,
    Gpu,
    Lock,
    OperatingSystem,
    Package,
    Python,
    Wheel,
)

# zlib's answer to this text at level 9, fixed here as bytes.
COMPRESSED_TEXT = b"print('hello')\n" * 40
COMPRESSED = bytes.fromhex("2b28cacc2bd150cf48cdc9c957d7e42a18e58e72a9c10500")


def deflate_stored(data: bytes) -> bytes:
    """A raw deflate stream of stored blocks: method 8 without a compressor."""
    blocks = [data[start : start + 65_535] for start in range(0, len(data), 65_535)] or [b""]
    return b"".join(
        struct.pack("<BHH", number == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) + block
        for number, block in enumerate(blocks)
    )


@dataclass(frozen=True, kw_only=True)
class Item:
    """An entry as the writer would have it; a field set here lies."""

    name: str
    data: bytes = b""
    body: bytes | None = None
    method: int = 8
    mode: int = 0o100644
    flags: int = 0x800
    crc: int | None = None
    size: int | None = None
    compressed_size: int | None = None
    local_name: str | None = None
    local_crc: int | None = None
    local_method: int | None = None
    local_flags: int | None = None
    descriptor: bytes | None = None
    extra: bytes = b""
    local_extra: bytes = b""
    offset: int | None = None
    disk: int = 0
    zip64: bool = False
    raw_name: bytes | None = None


def _local(item: Item, name: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(item.data) if item.crc is None else item.crc
    size = len(item.data) if item.size is None else item.size
    compressed = len(body) if item.compressed_size is None else item.compressed_size
    flags = item.flags if item.local_flags is None else item.local_flags
    method = item.method if item.local_method is None else item.local_method
    local = (crc if item.local_crc is None else item.local_crc, compressed, size)
    extra = item.local_extra
    if flags & 8:
        local = (0, 0, 0)
    elif item.zip64:
        extra += struct.pack("<HHQQ", 1, 16, size, compressed)
        local = (local[0], 0xFFFFFFFF, 0xFFFFFFFF)
    named = name if item.local_name is None else item.local_name.encode()
    head = struct.pack("<4s5H3L2H", b"PK\3\4", 20, flags, method, 0, 33, *local, len(named), len(extra))
    tail = b""
    if flags & 8:
        plain = struct.pack("<4s3L", b"PK\7\x08", crc, compressed, size)
        tail = plain if item.descriptor is None else item.descriptor
    return head + named + extra + body + tail


def _central(item: Item, name: bytes, body: bytes, offset: int) -> bytes:
    crc = zlib.crc32(item.data) if item.crc is None else item.crc
    size = len(item.data) if item.size is None else item.size
    compressed = len(body) if item.compressed_size is None else item.compressed_size
    offset = offset if item.offset is None else item.offset
    extra = item.extra
    if item.zip64:
        extra += struct.pack("<HHQQQ", 1, 24, size, compressed, offset)
        size = compressed = offset = 0xFFFFFFFF
    return (
        struct.pack(
            "<4s6H3L5H2L",
            b"PK\1\2",
            0x0314,
            20,
            item.flags,
            item.method,
            0,
            33,
            crc,
            compressed,
            size,
            len(name),
            len(extra),
            0,
            item.disk,
            0,
            item.mode << 16,
            offset,
        )
        + name
        + extra
    )


def zip_parts(items: list[Item]) -> tuple[bytes, bytes]:
    """Return the members and the central directory."""
    members = directory = b""
    for item in items:
        body = item.body
        if body is None:
            body = deflate_stored(item.data) if item.method == 8 else item.data
        name = item.name.encode() if item.raw_name is None else item.raw_name
        directory += _central(item, name, body, len(members))
        members += _local(item, name, body)
    return members, directory


def end(members: bytes, directory: bytes, count: int, *, comment: bytes = b"", disk: int = 0) -> bytes:
    return (
        struct.pack("<4s4H2LH", b"PK\5\6", disk, 0, count, count, len(directory), len(members), len(comment))
        + comment
    )


def end_64(
    members: bytes, directory: bytes, count: int, *, disks: int = 1, position: int | None = None
) -> bytes:
    """The zip64 records and the plain one that points at them."""
    at = len(members) + len(directory) if position is None else position
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(members)
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, disks)
    plain = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return record + locator + plain


def make_zip(items: list[Item]) -> bytes:
    members, directory = zip_parts(items)
    return members + directory + end(members, directory, len(items))


def record_line(name: str, data: bytes) -> str:
    value = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={value},{len(data)}\n"


def wheel_items(
    name: str = "demo",
    version: str = "1.0",
    files: dict[str, bytes] | None = None,
    *,
    executable: tuple[str, ...] = (),
    entry_points: str = "",
    purelib: bool = True,
    stored: tuple[str, ...] = (),
) -> list[Item]:
    """The entries of a proper wheel, RECORD last."""
    info = f"{name}-{version}.dist-info"
    contents = dict(files or {f"{name}/__init__.py": b""})
    contents[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    root = "true" if purelib else "false"
    contents[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: {root}\nTag: py3-none-any\n".encode()
    if entry_points:
        contents[f"{info}/entry_points.txt"] = entry_points.encode()
    record = "".join(record_line(path, data) for path, data in contents.items()) + f"{info}/RECORD,,\n"
    items = []
    for path, data in contents.items():
        mode = 0o100755 if path in executable else 0o100644
        items.append(Item(name=path, data=data, mode=mode, method=0 if path in stored else 8))
    return [*items, Item(name=f"{info}/RECORD", data=record.encode())]


def changed(items: list[Item], name: str, **fields: object) -> list[Item]:
    """The same entries, one of them with other fields."""
    return [replace(item, **fields) if item.name == name else item for item in items]  # type: ignore[arg-type] # the fields are Item's


def write_wheel(directory: Path, items: list[Item], name: str = "demo", version: str = "1.0") -> Path:
    path = directory / f"{name}-{version}-py3-none-any.whl"
    path.write_bytes(make_zip(items))
    return path


def package(path: Path, *, modified: tuple[str, ...] = (), size: int | None = None) -> Package:
    name, version = path.name.split("-")[:2]
    data = path.read_bytes()
    wheel = Wheel(
        name=path.name,
        sha256=Digest.of(data),
        size=len(data) if size is None else size,
        url=f"https://index.example/{path.name}",
    )
    return Package(
        name=name.replace("_", "-"),
        version=version,
        wheel=wheel,
        source="index",
        evidence="matched",
        modified=modified,
    )


def lock_of(*packages: Package, base: tuple[BaseLayer, ...] = (), kind: str = "host") -> Lock:
    return Lock(
        python=Python(
            implementation="cpython",
            version="3.11.7",
            abi="cpython-311",
            build="",
            prefix_kind="pyenv",
            prefix="/opt/python",
        ),
        os=OperatingSystem(id="debian", version="12", kernel="6.1", libc="glibc 2.36", machine="x86_64"),
        cpu=Cpu(model="Test CPU", isa="x86-64-v3", cores=4),
        gpu=Gpu(),
        packages=packages,
        base=Base(kind=kind, layers=base),
    )
