"""A small machine to pack: two OS packages, certificates, and an interpreter under a long prefix."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from envlock.host.store import Store
from envlock.lock.environment import HostFiles, InterpreterTree, OwnedFile, PackedPackage
from envlock.lock.model import Python, SystemPackage

MakeHost = Callable[[Path], HostFiles]


def put(path: Path, data: bytes, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def owned(path: Path) -> OwnedFile:
    md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return OwnedFile(path=str(path), checksum=f"md5:{md5}")


def package(name: str, *files: OwnedFile) -> PackedPackage:
    return PackedPackage(
        package=SystemPackage(name=name, version="1", architecture="amd64"),
        files=files,
        status=f"Package: {name}\nStatus: install ok installed\nVersion: 1",
    )


def make(root: Path) -> HostFiles:
    program = put(root / "os/bin/tool", b"program" * 1000, 0o6755)
    library = put(root / "os/lib/libz.so.1.3", b"library", 0o600)
    (root / "os/lib/libz.so.1").symlink_to("libz.so.1.3")
    loose = put(root / "os/lib/libloose.so", b"loose")
    moved = put(root / "somebody/libmine.so", b"mine")
    prefix = root / ("a-rather-long-directory-name/versions/3.11.7")
    python = put(prefix / "bin/python3.11", b"\x7fELF\0" + f"{prefix}/lib\0{prefix}\0end\0".encode(), 0o755)
    (prefix / "bin/python3").symlink_to(python.name)
    put(prefix / "lib/python3.11/os.py", b"pass\n")
    put(prefix / "lib/python3.11/_sysconfigdata.py", f"prefix = '{prefix}'\n".encode())
    return HostFiles(
        packages=(
            package("tools", owned(program)),
            package("zlib1g", owned(library), OwnedFile(path=f"{root}/os/lib/libz.so.1", checksum=None)),
        ),
        loose=(str(loose),),
        interpreter=InterpreterTree(
            prefix=prefix,
            target="/opt/python",
            files=(
                "bin/python3",
                "bin/python3.11",
                "lib/python3.11/_sysconfigdata.py",
                "lib/python3.11/os.py",
            ),
        ),
        python_executable="/opt/python/bin/python3.11",
        moved=((str(moved), "/opt/python/lib/libmine.so"),),
        links=(("/usr/lib/x86_64-linux-gnu/libmine.so", "/opt/python/lib/libmine.so"),),
    )


@pytest.fixture
def host(tmp_path: Path) -> HostFiles:
    return make(tmp_path / "machine")


@pytest.fixture
def python() -> Python:
    return Python(
        implementation="cpython",
        version="3.11.7",
        abi="cpython-311",
        build="GCC",
        prefix_kind="pyenv",
        prefix="/opt/python",
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")
