"""Simulators: tiny ELF files, a dpkg database and a conda prefix in a directory."""

import hashlib
import json
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


@dataclass(frozen=True)
class CondaSimulator:
    """Writes packages into a conda prefix, with records of the fields that conda 24 writes."""

    prefix: Path

    def install(self, name: str, contents: Mapping[str, bytes], /, **fields: object) -> Path:
        """Add a package with its files and return its record. ``fields`` replace those of the record."""
        for path, data in contents.items():
            put_file(self.prefix / path, data)
        version, build = fields.get("version", "1.0"), fields.get("build", "h5eee18b_0")
        file = f"{name}-{version}-{build}"
        record = {
            "build": build,
            "build_number": 0,
            "channel": "https://conda.example/main/linux-64",
            "constrains": [],
            "depends": ["libgcc >=13"],
            "extracted_package_dir": f"/home/ann/miniconda3/pkgs/{file}",
            "files": list(contents),
            "fn": f"{file}.conda",
            "license": "BSD-3-Clause",
            "link": {"source": f"/home/ann/miniconda3/pkgs/{file}", "type": 1},
            "md5": hashlib.md5(name.encode(), usedforsecurity=False).hexdigest(),
            "name": name,
            "package_tarball_full_path": f"/home/ann/miniconda3/pkgs/{file}.conda",
            "paths_data": {"paths": [_path_entry(path, data) for path, data in contents.items()]},
            "requested_spec": "None",
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
            "size": 7_000,
            "subdir": "linux-64",
            "timestamp": 1_700_000_000_000,
            "url": f"https://conda.example/main/linux-64/{file}.conda",
            "version": version,
            **fields,
        }
        return put_file(self.prefix / f"conda-meta/{file}.json", json.dumps(record, indent=2).encode())


def _path_entry(path: str, data: bytes) -> dict[str, object]:
    sha256 = hashlib.sha256(data).hexdigest()
    return {"_path": path, "path_type": "hardlink", "sha256": sha256, "size_in_bytes": len(data)}
