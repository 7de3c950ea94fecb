"""A real registry on loopback: Debian's docker-registry, in a directory of its own."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

PROGRAM = shutil.which("docker-registry") or shutil.which("registry")


@dataclass(frozen=True, slots=True, kw_only=True)
class RealRegistry:
    """Where it answers, ``127.0.0.1:5000``, and what it was told to keep."""

    host: str
    directory: Path

    def uploads(self, repository: str) -> list[Path]:
        """Uploads that were begun and not ended."""
        return list((self.directory / "docker/registry/v2/repositories" / repository / "_uploads").glob("*"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(directory: Path, login: tuple[str, str] | None = None) -> Iterator[RealRegistry]:
    """Run a registry until the block ends; with ``login`` it asks for Basic authorization."""
    directory.mkdir(parents=True)
    host = f"127.0.0.1:{free_port()}"
    settings: dict[str, object] = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(directory)}},
        # A Location without a host, so that a proxy before it stays in between.
        "http": {"addr": host, "relativeurls": True},
        "log": {"level": "error"},
    }
    if login is not None:
        made = subprocess.run(["htpasswd", "-Bbn", *login], capture_output=True, check=True)
        (directory / "htpasswd").write_bytes(made.stdout)
        settings["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
    config = directory / "config.yml"
    config.write_text(json.dumps(settings))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(PROGRAM), "serve", str(config)], stdout=log, stderr=log, env=environ, cwd=directory
        )
    try:
        _wait(host, process)
        yield RealRegistry(host=host, directory=directory)
    finally:
        process.terminate()
        process.wait()


def _wait(host: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "the registry ended"
        try:
            requests.get(f"http://{host}/v2/", timeout=1)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the registry does not answer")
