from dataclasses import replace
from pathlib import Path

import pytest

from envlock.core.digest import Digest
from envlock.lock.identity import entry_digest, environment_id
from envlock.lock.model import Cpu, Gap, Gpu, Lock
from tests.golden import pinned_json

GOLDEN = Path(__file__).parent / "golden/environment-id.json"


def test_the_environment_id_is_pinned(lock: Lock) -> None:
    pinned_json(GOLDEN, str(environment_id(lock)))


def test_the_environment_id_is_the_hash_of_the_documented_json(lock: Lock) -> None:
    numpy, torch, diff = (Digest.of(text) for text in (b"numpy", b"torch", b"diff"))
    text = (
        f'{{"base":["{diff}"],"packages":[["numpy","2.4.6","{numpy.hex}"],'
        f'["torch","2.13.0+cpu","{torch.hex}"]],"platform":"linux/amd64",'
        '"python":{"abi":"cpython-311","implementation":"cpython","version":"3.11.7"},"version":1}'
    )
    assert environment_id(lock) == Digest.of(text.encode())


def test_what_does_not_decide_the_bytes_is_not_in_it(lock: Lock) -> None:
    numpy = lock.packages[0]
    moved = replace(
        numpy, source="archive", evidence="hashed", index=None, wheel=replace(numpy.wheel, url="https://b/x")
    )
    other = replace(
        lock,
        packages=(lock.packages[1], moved),
        cpu=Cpu(model="other", isa="x86-64-v4", cores=64),
        gpu=Gpu(),
        project=None,
        environment=(),
        cuda=(),
        system_packages=(),
        gaps=(Gap(subject="a", reason="b"),),
    )
    assert environment_id(other) == environment_id(lock)


@pytest.mark.parametrize("part", ["version", "wheel", "python", "abi", "base", "machine"])
def test_what_decides_the_bytes_is_in_it(lock: Lock, part: str) -> None:
    numpy, torch = lock.packages
    wheel = replace(numpy.wheel, sha256=Digest.of(b"other"))
    layer = replace(lock.base.layers[0], diff_id=Digest.of(b"other"))
    changed = {
        "version": replace(lock, packages=(replace(numpy, version="2.4.7"), torch)),
        "wheel": replace(lock, packages=(replace(numpy, wheel=wheel), torch)),
        "python": replace(lock, python=replace(lock.python, version="3.11.8")),
        "abi": replace(lock, python=replace(lock.python, abi="cpython-311d")),
        "base": replace(lock, base=replace(lock.base, layers=(layer,))),
        "machine": replace(lock, os=replace(lock.os, machine="aarch64")),
    }
    assert environment_id(changed[part]) != environment_id(lock)


def test_an_entry_digest_covers_the_wheel_and_not_its_place(lock: Lock) -> None:
    numpy = lock.packages[0]
    assert entry_digest(replace(numpy, wheel=replace(numpy.wheel, url="https://b/x"))) == entry_digest(numpy)
    assert entry_digest(replace(numpy, wheel=replace(numpy.wheel, size=1))) != entry_digest(numpy)
