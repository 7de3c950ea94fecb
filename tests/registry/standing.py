"""A small environment, and images with its interpreter for it to stand on."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests

from envlock.engines import pulled
from envlock.engines.configuration import ImageConfiguration
from envlock.lock import file
from envlock.lock.model import Lock
from tests.engines import python_root
from tests.image.wheels import wheel_items, write_wheel
from tests.registry.real import RealRegistry

LOCK = "pylock.envlock.toml"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A directory, and the interpreter of the environment that is captured in it."""

    directory: Path
    python: Path

    def envlock(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run envlock there, with the store below the directory unless ``variables`` name another."""
        environ = os.environ | {"ENVLOCK_CACHE": str(self.directory / "cache")} | variables
        argv = [sys.executable, "-m", "envlock", *arguments]
        return subprocess.run(
            argv, cwd=self.directory, env=environ, capture_output=True, text=True, check=False
        )

    def capture(self, base: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.envlock(
            "capture", "--offline", "--json", "--python", str(self.python), "--base", base, *arguments
        )

    def captured(self, base: str) -> Lock:
        done = self.capture(base)
        assert done.returncode == 0, done.stderr
        return file.read(self.directory / LOCK)

    def built(self, *arguments: str, **variables: str) -> str:
        """Build without bytecode and return the manifest's digest."""
        done = self.envlock("build", "--json", "--no-bytecode", *arguments, **variables)
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["manifest"])


def project(directory: Path, python: Path | None = None) -> Project:
    """Make an environment of ``python``, or of this very interpreter, with one package."""
    directory.mkdir(parents=True)
    base = str(python or getattr(sys, "_base_executable"))  # noqa: B009 # not in the type stubs
    subprocess.run([base, "-m", "venv", "--without-pip", directory / "env"], check=True)
    source = {"demo.py": b"def main():\n    print('hello')\n"}
    wheel = write_wheel(
        directory, wheel_items(files=source, entry_points="[console_scripts]\ndemo=demo:main\n")
    )
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(next((directory / "env/lib").glob("python3.*/site-packages")))
    wheel.unlink()
    return Project(directory=directory, python=directory / "env/bin/python")


def archive(directory: Path, *more: tuple[str, str]) -> Path:
    """Make an image with this interpreter and the variables ``more``."""
    root = python_root.made(directory / "root")
    settings = ImageConfiguration(environment=(*root.configuration.environment, *more))
    return python_root.archived(
        replace(root, configuration=settings), directory / "base.tar", pulled.own_platform()
    )


def push(archive: Path, name: str) -> None:
    """Put the image into a registry by another tool than envlock."""
    subprocess.run(
        [
            "skopeo",
            "copy",
            "--quiet",
            "--dest-tls-verify=false",
            f"docker-archive:{archive}",
            f"docker://{name}",
        ],
        check=True,
    )


def push_index(registry: RealRegistry, repository: str, tag: str, of: str) -> str:
    """Put an index of two platforms there; return the digest of ``of``, which it names for this machine."""
    url = f"http://{registry.host}/v2/{repository}/manifests"
    found = requests.get(f"{url}/{of}", headers={"Accept": _MANIFEST}, timeout=10)
    found.raise_for_status()
    system, _, architecture = pulled.own_platform().partition("/")
    digest = found.headers["Docker-Content-Digest"]
    entry: dict[str, Any] = {"mediaType": _MANIFEST, "digest": digest, "size": len(found.content)}
    manifests = [
        entry | {"platform": {"os": "linux", "architecture": "s390x"}},
        entry | {"platform": {"os": system, "architecture": architecture}},
    ]
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}
    done = requests.put(f"{url}/{tag}", data=json.dumps(index), headers={"Content-Type": _INDEX}, timeout=10)
    done.raise_for_status()
    return digest
