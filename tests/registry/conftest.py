"""A real registry, a proxy that can fail before it, and a small image."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from envlock.host.backoff import Backoff
from envlock.oci.registry.client import Repository, connected
from envlock.oci.registry.reference import Reference
from tests.conftest import IN_CI
from tests.oci.images import Builder
from tests.registry import real
from tests.registry.faulty import Proxy, proxied
from tests.registry.real import RealRegistry


def _need_registry() -> None:
    if real.PROGRAM is None or shutil.which("htpasswd") is None:
        reason = "no registry: the programs docker-registry and htpasswd are not installed"
        if IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    _need_registry()
    with real.running(tmp_path_factory.mktemp("registry") / "open") as found:
        yield found


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """A registry that asks for the login ann:secret-word."""
    _need_registry()
    with real.running(tmp_path_factory.mktemp("registry") / "guarded", ("ann", "secret-word")) as found:
        yield found


@pytest.fixture
def proxy(registry: RealRegistry) -> Iterator[Proxy]:
    with proxied(registry.host) as found:
        yield found


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "store")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "home"
    directory.mkdir()
    return directory


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    """Variables of a user whose configuration lies in ``home``."""
    return {"HOME": str(home), "PATH": os.environ["PATH"]}


def quick(repository: Repository) -> Repository:
    """Let a repository try again without waiting."""
    repository.backoff = Backoff(pause=lambda _: None)
    return repository


@pytest.fixture
def repository(proxy: Proxy, environ: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Repository]:
    """A repository of its own for each test, through the proxy."""
    name = request.node.name.lower().replace("[", "-").replace("]", "").replace("_", "-")
    reference = Reference.parse(f"{proxy.host}/test/{name}:1")
    with connected(reference, environ) as found:
        yield quick(found)
