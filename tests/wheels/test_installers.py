"""pip and uv install from a lock what was captured: index wheels and a repacked one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from envlock.capture import distributions
from envlock.capture.python import ask
from envlock.core.digest import Digest
from envlock.core.progress import Silent
from envlock.host import http
from envlock.host.store import Store
from envlock.lock import file
from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import Base, Cpu, Gpu, Lock, OperatingSystem, Python
from envlock.wheels import configuration
from envlock.wheels.fetch import fetch
from envlock.wheels.locate import locate
from envlock.wheels.sidecar import keep
from tests.wheels.conftest import describe, wheel

pytestmark = [pytest.mark.network, pytest.mark.slow]

# Wheels with scripts, vendored metadata, an extension module and data files.
WANTED = ("charset-normalizer", "markdown-it-py", "idna")


def run(*argv: str | Path) -> None:
    subprocess.run([str(one) for one in argv], check=True, capture_output=True)


def installed(venv: Path) -> tuple[InstalledDistribution, ...]:
    (site,) = venv.glob("lib/python3*/site-packages")
    return tuple(
        describe(site, one.name.removesuffix(".dist-info")) for one in sorted(site.glob("*.dist-info"))
    )


def files(venv: Path) -> set[tuple[str, str | None]]:
    """Return the files inside site-packages that every installer must write alike."""
    made = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")
    return {
        (entry.path, entry.sha256)
        for one in installed(venv)
        for entry in one.record
        if entry.sha256 is not None and not entry.path.startswith("../") and not entry.path.endswith(made)
    }


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with http.session(os.environ) as made:
        yield made


def lock_of(venv: Path, directory: Path, store: Store, session: requests.Session) -> Lock:
    located = locate(
        installed(venv),
        store=store,
        indexes=configuration.read(os.environ).indexes,
        session=session,
        offline=False,
        progress=Silent(),
    )
    assert located.gaps == ()
    keep(located.packages, store, directory)
    version = ".".join(map(str, sys.version_info[:3]))
    return Lock(
        python=Python(
            implementation="cpython",
            version=version,
            abi="cpython",
            build="",
            prefix_kind="other",
            prefix="/usr",
        ),
        os=OperatingSystem(id="", version="", kernel="", libc="", machine=os.uname().machine),
        cpu=Cpu(model="", isa="", cores=1),
        gpu=Gpu(),
        packages=located.packages,
        base=Base(kind="host", layers=()),
    )


def test_pip_and_uv_install_from_the_lock_what_was_captured(
    tmp_path: Path, session: requests.Session
) -> None:
    store = Store(tmp_path / "store")
    local = wheel(
        "local-build",
        "1.0+cpu",
        {"local_build/__init__.py": b"def main():\n    return 0\n"},
        entry_points="[console_scripts]\nlocal-build = local_build:main\n",
    )
    (tmp_path / local[0]).write_bytes(local[1])
    first = tmp_path / "first"
    run(sys.executable, "-m", "venv", "--without-pip", first)
    pip = (sys.executable, "-m", "pip", "--python")
    run(*pip, first, "install", "--find-links", tmp_path, *WANTED, "local-build==1.0+cpu")
    lock = lock_of(first, tmp_path, store, session)
    evidence = {one.name: one.evidence for one in lock.packages}
    assert evidence == {**dict.fromkeys(evidence, "matched"), "local-build": "repacked"}
    path = tmp_path / "pylock.envlock.toml"
    file.write(path, lock)
    assert fetch(
        file.read(path).packages,
        lock_directory=tmp_path,
        store=Store(tmp_path / "empty"),
        session=session,
        offline=False,
        progress=Silent(),
    ).keys() == set(evidence)

    by_pip, by_uv = tmp_path / "pip", tmp_path / "uv"
    run(sys.executable, "-m", "venv", "--without-pip", by_pip)
    run(*pip, by_pip, "install", "-r", path)
    run(sys.executable, "-m", "venv", "--without-pip", by_uv)
    run(Path(sys.executable).with_name("uv"), "pip", "sync", "--python", by_uv / "bin/python", path)
    assert files(by_pip) == files(first)
    assert files(by_uv) == files(first)
    # What uv installed is found again, but for where the local wheel came from.
    again = lock_of(by_uv, tmp_path, store, session)
    assert [(one.name, one.version, one.wheel.sha256) for one in again.packages] == [
        (one.name, one.version, one.wheel.sha256) for one in lock.packages
    ]


@pytest.mark.parametrize(("installer", "evidence"), [("pip", "recorded"), ("uv", "hashed")])
def test_an_archive_on_this_disk_is_hashed_where_its_installer_did_not(
    tmp_path: Path, session: requests.Session, installer: str, evidence: str
) -> None:
    name, data = wheel("demo", "1.0+cpu", {"demo.py": b"x = 1\n"})
    archive = tmp_path / "home" / name
    archive.parent.mkdir()
    archive.write_bytes(data)
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv)
    python = venv / "bin" / "python"
    if installer == "pip":
        run(sys.executable, "-m", "pip", "--python", python, "install", "--no-index", archive)
    else:
        run(Path(sys.executable).with_name("uv"), "pip", "install", "--no-index", "--python", python, archive)
    found, faults = distributions.read(ask(python, os.environ).distributions)
    assert faults == ()
    located = locate(
        found, store=Store(tmp_path / "store"), indexes=(), session=session, offline=True, progress=Silent()
    )
    (package,) = located.packages
    assert (package.source, package.evidence) == ("archive", evidence)
    assert package.wheel.sha256 == Digest.of(data)
    assert str(tmp_path) not in repr(located)
