import re
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.host.store import Store
from envlock.image import dockerfile
from envlock.lock import codec
from envlock.lock.model import Lock, Package
from envlock.runtime.errors import InputError, IntegrityError
from tests.image.wheels import lock_of, package, wheel_items, write_wheel


def repacked(directory: Path) -> Package:
    place = directory / ".envlock" / "wheels"
    place.mkdir(parents=True)
    found = package(write_wheel(place, wheel_items("mine"), "mine"))
    wheel = replace(found.wheel, url=None, path=f".envlock/wheels/{found.wheel.name}")
    return replace(found, wheel=wheel, source="repacked", evidence="repacked")


def emit(lock: Lock, directory: Path, **wheels: Path) -> None:
    dockerfile.emit(lock, directory, lock_bytes=codec.dumps(lock), wheels=wheels)


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    return lock_of(package(write_wheel(tmp_path, wheel_items())), repacked(tmp_path))


def test_everything_that_a_docker_build_needs_is_written(tmp_path: Path, lock: Lock) -> None:
    out = tmp_path / "out"
    emit(lock, out, mine=tmp_path / str(lock.packages[1].wheel.path))
    text = (out / "Dockerfile").read_text()
    assert "ARG BASE=python:3.11.7-slim" in text
    assert "FROM ${BASE} AS build" in text
    assert "--require-hashes" in text
    assert "COPY wheels/ /build/wheels/" in text
    assert 'OMP_NUM_THREADS="4"' in text
    assert 'dev.envlock.environment-id="sha256:' in text
    assert "--mount=type=secret,id=pip.conf,target=/etc/pip.conf" in text
    assert "--no-index" not in text
    assert not re.search(r"(?m)^[^#]*\$[a-z{][a-z]*", text.replace("${BASE}", "").replace("$PATH", ""))
    requirements = (out / "requirements.txt").read_text().splitlines()
    assert requirements[1:] == [
        f"demo==1.0 --hash=sha256:{lock.packages[0].wheel.sha256.hex}",
        f"/build/wheels/mine-1.0-py3-none-any.whl --hash=sha256:{lock.packages[1].wheel.sha256.hex}",
    ]
    assert (out / "wheels" / "mine-1.0-py3-none-any.whl").is_file()
    assert (out / "rootfs/opt/envlock/pylock.envlock.toml").read_bytes() == codec.dumps(lock)
    assert (out / "rootfs/opt/envlock/bin/envlock-run").stat().st_mode & 0o777 == 0o755
    assert not (out / "rootfs/opt/env/pyvenv.cfg").exists()


def test_the_lock_is_copied_as_it_was_read(tmp_path: Path) -> None:
    dockerfile.emit(lock_of(), tmp_path / "out", lock_bytes=b"# as it was\n", wheels={})
    assert (tmp_path / "out/rootfs/opt/envlock/pylock.envlock.toml").read_bytes() == b"# as it was\n"
    assert "COPY wheels" not in (tmp_path / "out/Dockerfile").read_text()


def test_with_every_wheel_beside_it_no_index_is_asked_and_no_secret_is_needed(
    tmp_path: Path, lock: Lock
) -> None:
    demo, mine = lock.packages
    emit(lock, tmp_path / "out", demo=tmp_path / demo.wheel.name, mine=tmp_path / str(mine.wheel.path))
    text = (tmp_path / "out/Dockerfile").read_text()
    assert "--no-index" in text
    assert "--mount" not in text
    assert "/build/wheels/demo-1.0-py3-none-any.whl --hash" in (tmp_path / "out/requirements.txt").read_text()
    assert len(list((tmp_path / "out/wheels").iterdir())) == 2


def test_an_altered_wheel_is_refused_and_nothing_is_written(tmp_path: Path, lock: Lock) -> None:
    wheel = tmp_path / str(lock.packages[1].wheel.path)
    wheel.write_bytes(b"x")
    with pytest.raises(IntegrityError, match="the wheel of mine is not the locked one"):
        emit(lock, tmp_path / "out", mine=wheel)
    assert not (tmp_path / "out").exists()


def test_a_directory_with_something_in_it_is_not_replaced(tmp_path: Path, store: Store) -> None:
    (tmp_path / "precious").write_text("x")
    for place in (tmp_path, tmp_path / "precious"):
        with pytest.raises(InputError, match="will not be replaced"):
            emit(lock_of(), place)
