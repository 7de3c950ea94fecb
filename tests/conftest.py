"""What a test may need from the machine, told once.

A test names its need by a marker or a fixture. Where the need is not met the test is skipped with the
reason; with CI=true it fails instead, so that a run which quietly tested less can't pass.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pypi_simple
import pytest
import requests

from envlock.core.redaction import redacted
from envlock.host import http

ROOT = Path(__file__).parents[1]
_LEAST_QEMU = 10
IN_CI = os.environ.get("CI") == "true"


@cache
def _engine() -> str | None:
    """Return why no Docker engine can be used, or None."""
    if "DOCKER_HOST" not in os.environ:
        return "no Docker engine: DOCKER_HOST is not set"
    if shutil.which("docker") is None:
        return "no Docker engine can be used: the program docker is not installed"
    done = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"no Docker engine: {os.environ['DOCKER_HOST']} does not answer: {done.stderr.strip()}"
    return None


@cache
def _index() -> str | None:
    """Return why the package index can't be used, or None."""
    url = os.environ.get("PIP_INDEX_URL", pypi_simple.PYPI_SIMPLE_ENDPOINT)
    try:
        with http.session(os.environ) as client:
            client.head(f"{url.rstrip('/')}/installer/", timeout=20).raise_for_status()
    except requests.RequestException as error:
        return f"the package index does not answer: {redacted(str(error))}"
    return None


@cache
def _qemu() -> str | None:
    """Return why no other CPU can be emulated, or None."""
    if shutil.which("qemu-x86_64") is None:
        return "no emulated CPUs: qemu-x86_64 is not installed (sh .ci/qemu-user)"
    done = subprocess.run(["qemu-x86_64", "--version"], capture_output=True, text=True, check=True)
    version = done.stdout.split()[2]
    # 7.2, which Debian 12 has, computes AVX2 wrongly.
    if int(version.split(".")[0]) < _LEAST_QEMU:
        return f"no emulated CPUs: qemu-x86_64 {version} computes wrongly, needs {_LEAST_QEMU} or later"
    return None


_NEEDS: dict[str, Callable[[], str | None]] = {"docker": _engine, "network": _index, "qemu": _qemu}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, missing in _NEEDS.items():
        if item.get_closest_marker(marker) is not None:
            require(missing())


def require(reason: str | None) -> None:
    """Skip the test for ``reason``, if there is one; fail it in CI."""
    if reason is None:
        return
    if IN_CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def _no_uv_cache() -> Iterator[None]:
    """Let uv keep nothing: it would hold the gigabytes that tests install in the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_NO_CACHE", "1")
        yield


@pytest.fixture(scope="session")
def docker_host() -> str:
    """The engine's address, for ``docker`` as a user types it."""
    require(_engine())
    return os.environ["DOCKER_HOST"]


@pytest.fixture(scope="session")
def frameworks_python() -> str:
    """An interpreter whose environment holds torch, TensorFlow and at least 60 distributions."""
    path = os.environ.get("ENVLOCK_TEST_FRAMEWORKS_PYTHON")
    require(None if path else "ENVLOCK_TEST_FRAMEWORKS_PYTHON names no environment")
    return str(path)


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Linux namespaces that the embedded engine can make."""
    argv = ["unshare", "--mount", "--pid", "--fork"]
    if os.geteuid() != 0:
        argv += ["--user", "--map-root-user"]
    done = subprocess.run([*argv, "true"], capture_output=True, text=True, check=False)
    require(f"no namespaces here: {done.stderr.strip()}" if done.returncode else None)


@pytest.fixture(scope="session")
def rpm() -> str:
    """The program rpm, with rpmbuild beside it."""
    path = shutil.which("rpm") if shutil.which("rpmbuild") else None
    require(None if path else "rpm is not installed")
    return str(path)


@pytest.fixture(scope="session")
def estargz_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program tests/oci/estargz/read.go, which reads layers with stargz-snapshotter's package."""
    return go_program(ROOT / "tests/oci/estargz/read.go", tmp_path_factory.mktemp("estargz"))


def go_program(source: Path, directory: Path) -> Path:
    """Compile ``source`` into ``directory``, with the Go packages that Debian ships."""
    go, packages = shutil.which("go"), Path("/usr/share/gocode")
    is_there = go and (packages / "src/github.com/containerd/stargz-snapshotter").is_dir()
    require(None if is_there else "Go and stargz-snapshotter's packages are not installed")
    cache, program = directory / "cache", directory / source.stem
    environ = {
        "PATH": os.environ["PATH"],
        "GOCACHE": str(cache),
        "GOPATH": str(packages),
        "GO111MODULE": "off",
    }
    subprocess.run([str(go), "build", "-o", program, source], env=environ, check=True)
    shutil.rmtree(cache)
    return program


@pytest.fixture
def shared_library(tmp_path: Path) -> Callable[..., Path]:
    """Build a shared library of C text, linked with those that it needs."""
    compiler = shutil.which("cc")
    require(None if compiler else "no C compiler is installed")

    def built(name: str, text: str, *needed: Path) -> Path:
        source = tmp_path / "source.c"
        source.write_text(text)
        path = tmp_path / name
        options = ("-shared", "-fPIC", f"-Wl,-soname,{name}")
        subprocess.run([str(compiler), *options, "-o", path, source, *needed], check=True)
        return path

    return built


@pytest.fixture(scope="session")
def skopeo() -> str:
    """The program skopeo, an independent reader of images."""
    path = shutil.which("skopeo")
    require(None if path else "skopeo is not installed")
    return str(path)


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A directory that every user can enter, which those that pytest makes are not."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
