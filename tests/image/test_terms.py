from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.core.progress import Advance, Silent
from envlock.host.store import Store
from envlock.image import terms
from envlock.lock.model import CondaPackage, CudaLibrary, Lock
from tests.image.wheels import lock_of, package, wheel_items, write_wheel


class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def task(self, label: str, total: int | None, unit: str = "") -> AbstractContextManager[Advance]:
        return Silent().task(label, total, unit)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    return lock_of(package(write_wheel(tmp_path, wheel_items())))


def named(lock: Lock, name: str) -> Lock:
    return replace(lock, packages=(replace(lock.packages[0], name=name),))


def test_an_environment_without_them_has_no_terms(lock: Lock) -> None:
    assert terms.found(lock) == ()


@pytest.mark.parametrize(
    ("name", "library"), [("nvidia-cudnn-cu13", "cuDNN"), ("mkl", "MKL"), ("torch", "MKL")]
)
def test_a_package_that_brings_one_is_named(lock: Lock, name: str, library: str) -> None:
    (one,) = terms.found(named(lock, name))
    assert (one.library, one.carrier) == (library, name)


def test_torch_has_no_mkl_on_another_processor(lock: Lock) -> None:
    arm = replace(named(lock, "torch"), os=replace(lock.os, machine="aarch64"))
    assert terms.found(arm) == ()


def test_one_that_no_package_of_python_brings_is_found_too(lock: Lock) -> None:
    cudnn = CudaLibrary(name="cudnn", version="9.10.2", origin="os:libcudnn9")
    mkl = CondaPackage(name="mkl", version="2024.0.0", build="h1_0", channel="conda-forge")
    both = terms.found(replace(lock, cuda=(cudnn,), conda=(mkl,)))
    assert [(one.library, one.carrier) for one in both] == [("MKL", "mkl"), ("cuDNN", "libcudnn9")]
    files = replace(lock, libraries=(("/opt/intel/libmkl_rt.so.2", "unowned"),))
    assert [one.library for one in terms.found(files)] == ["MKL"]


def test_each_is_told_once_for_a_store(lock: Lock, tmp_path: Path) -> None:
    store, heard = Store(tmp_path / "store"), Heard()
    terms.tell([named(lock, "torch")], store, Silent())
    terms.tell([named(lock, "torch")], store, heard)
    terms.tell([named(lock, "torch")], store, heard)
    terms.tell([named(lock, "nvidia-cudnn-cu13")], store, heard)
    assert ["MKL" in heard.notes[0], "cuDNN" in heard.notes[1], len(heard.notes)] == [True, True, 2]
