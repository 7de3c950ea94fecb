"""Simulators: tiny ELF files and a dpkg database in a directory."""

import hashlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

MakeElf = Callable[..., bytes]
Put = Callable[[Path, bytes], Path]


def build_elf(
    *,
    needed: tuple[str, ...] = (),
    soname: str | None = None,
    rpath: str | None = None,
    runpath: str | None = None,
    bits: int = 64,
    machine: int = 62,
    order: str = "<",
    interpreter: str | None = None,
) -> bytes:
    """Return a shared object with program headers and a dynamic section, and nothing else."""
    wide = bits == 64
    strings = b"\0"
    entries: list[tuple[int, int]] = []
    named = [(1, name) for name in needed]
    named += [(tag, text) for tag, text in ((14, soname), (15, rpath), (29, runpath)) if text is not None]
    for tag, text in named:
        entries.append((tag, len(strings)))
        strings += text.encode() + b"\0"
    head, program, entry = (64, 56, "qQ") if wide else (52, 32, "iI")
    loader = (interpreter or "").encode() + b"\0"
    kinds = [1, 2] + ([3] if interpreter is not None else [])
    strings_at = head + program * len(kinds)
    loader_at = strings_at + len(strings)
    dynamic_at = loader_at + len(loader)
    base = 0x400000
    entries += [(5, base + strings_at), (0, 0)]
    dynamic = b"".join(struct.pack(order + entry, tag, value) for tag, value in entries)
    total = dynamic_at + len(dynamic)
    places = {1: (0, total), 2: (dynamic_at, len(dynamic)), 3: (loader_at, len(loader))}
    headers = b""
    for kind in kinds:
        at, size = places[kind]
        if wide:
            headers += struct.pack(order + "IIQQQQQQ", kind, 4, at, base + at, 0, size, size, 8)
        else:
            headers += struct.pack(order + "IIIIIIII", kind, at, base + at, 0, size, size, 4, 4)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    if wide:
        rest = struct.pack(
            order + "HHIQQQIHHHHHH", 3, machine, 1, 0, head, 0, 0, head, program, len(kinds), 0, 0, 0
        )
    else:
        rest = struct.pack(
            order + "HHIIIIIHHHHHH", 3, machine, 1, 0, head, 0, 0, head, program, len(kinds), 0, 0, 0
        )
    return ident + rest + headers + strings + loader + dynamic


def put_file(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@dataclass(frozen=True)
class DpkgSimulator:
    """Writes a dpkg database below ``root``; paths are listed as they are given."""

    root: Path

    def __post_init__(self) -> None:
        (self.root / "var/lib/dpkg/info").mkdir(parents=True, exist_ok=True)

    def install(
        self,
        name: str,
        files: Mapping[str, bytes | None],
        *,
        version: str = "1.0-1",
        same: bool = False,
        state: str = "install ok installed",
    ) -> None:
        """Add a package. ``files``: listed path → the bytes its md5sums speak of; None: no checksum."""
        info = self.root / "var/lib/dpkg/info"
        key = f"{name}:amd64" if same else name
        (info / f"{key}.list").write_text("/.\n" + "".join(f"{path}\n" for path in files))
        sums = [
            f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  {path[1:]}\n"
            for path, data in files.items()
            if data is not None
        ]
        (info / f"{key}.md5sums").write_text("".join(sums))
        status = self.root / "var/lib/dpkg/status"
        old = status.read_text() if status.exists() else ""
        stanza = f"Package: {name}\nStatus: {state}\nArchitecture: amd64\nVersion: {version}\n\n"
        status.write_text(old + stanza)
