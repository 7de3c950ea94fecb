"""A conda channel in a directory, made of this machine's own Python, and its installation by py-rattler.

The format of packages is that of conda's documentation ("Conda package specification"): a tar archive
with ``info/index.json``, ``info/paths.json`` and, of portable Python packages, ``info/link.json``.
"""

import asyncio
import bz2
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import rattler
from rattler.index import index_fs

PLATFORMS: tuple[Literal["linux-64"], Literal["noarch"]] = ("linux-64", "noarch")
# The standard library but for what is large and of no use to a test.
_WITHOUT = ("__pycache__", "test", "idlelib", "ensurepip", "lib2to3", "site-packages", "dist-packages")
_ASK = (
    "import json, os, site, sys, sysconfig\n"
    "sites = [one for one in site.getsitepackages([sys.base_prefix]) if '/local/' not in one]\n"
    "print(json.dumps([sys.base_prefix, os.path.realpath(sys.executable), sysconfig.get_path('stdlib'),"
    " sites[0], sys.version.split()[0]]))\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel below ``root``. Methods add a package to it."""

    root: Path

    def add(
        self,
        name: str,
        version: str,
        files: Mapping[str, bytes | str],
        *,
        portable: bool = False,
        **index: object,
    ) -> Path:
        """Add a package of ``files`` (path → its bytes, or what it links to) and return its archive."""
        build = "pyh0_0" if portable else "h0_0"
        facts = {"name": name, "version": version, "build": build, "build_number": 0, "depends": [], **index}
        facts |= {"subdir": PLATFORMS[portable]} | ({"noarch": "python"} if portable else {})
        info = {
            "info/index.json": facts,
            "info/paths.json": {"paths_version": 1, "paths": [_entry(*one) for one in files.items()]},
        }
        if portable:
            info["info/link.json"] = {"package_metadata_version": 1, "noarch": {"type": "python"}}
        described = {path: json.dumps(value).encode() for path, value in info.items()}
        archive = self.root / PLATFORMS[portable] / f"{name}-{version}-{build}.tar.bz2"
        archive.parent.mkdir(parents=True, exist_ok=True)
        archive.write_bytes(bz2.compress(_tar({**described, **files}), 1))
        return archive

    def add_python(self, python: Path) -> str:
        """Add a package of the interpreter ``python``; return its site-packages, relative to the prefix."""
        answer = subprocess.run([python, "-I", "-c", _ASK], capture_output=True, check=True).stdout
        prefix, executable, library, site, version = json.loads(answer)
        name = os.path.basename(executable)
        files: dict[str, bytes | str] = {f"bin/{name}": Path(executable).read_bytes(), "bin/python": name}
        for parent, directories, names in os.walk(library):
            directories[:] = [one for one in directories if one not in _WITHOUT]
            for one in names:
                path = Path(parent, one)
                if path.suffix != ".a" and path.is_file():
                    files[os.path.relpath(path, prefix)] = path.read_bytes()
        for path in Path(prefix, "lib").glob("libpython*.so*"):
            files[os.path.relpath(path, prefix)] = path.read_bytes()
        place = str(os.path.relpath(site, prefix))
        self.add("python", version, files, python_site_packages_path=place)
        return place

    def install(self, prefix: Path, *names: str) -> None:
        """Install packages as conda's tools do: index the channel, solve, download, link, record."""
        asyncio.run(self._install(prefix, names))

    async def _install(self, prefix: Path, names: tuple[str, ...]) -> None:
        for platform in PLATFORMS:
            (self.root / platform).mkdir(exist_ok=True)
        await index_fs(self.root)
        records = await rattler.solve([rattler.Channel(self.root.as_uri())], names, platforms=PLATFORMS)
        await rattler.install(records, prefix, cache_dir=self.root.parent / "cache", show_progress=False)


def _entry(path: str, content: bytes | str) -> dict[str, object]:
    data = content if isinstance(content, bytes) else b""
    return {
        "_path": path,
        "path_type": "hardlink" if isinstance(content, bytes) else "softlink",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_in_bytes": len(data),
    }


def _tar(files: Mapping[str, bytes | str]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.mode = 0o755
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return target.getvalue()
