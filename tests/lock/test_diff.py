from dataclasses import replace

from envlock.core.digest import Digest
from envlock.lock.diff import Change, diff
from envlock.lock.model import Lock


def test_a_lock_does_not_differ_from_itself(lock: Lock, small_lock: Lock) -> None:
    assert diff(lock, lock).empty
    assert diff(small_lock, small_lock).empty


def test_added_removed_changed_and_rebuilt_packages_are_told_apart(lock: Lock) -> None:
    numpy, torch = lock.packages
    rebuilt = replace(torch, wheel=replace(torch.wheel, sha256=Digest.of(b"again")))
    before = replace(lock, packages=(numpy, torch, replace(numpy, name="gone", version="1")))
    after = replace(
        lock, packages=(replace(numpy, version="2.5"), rebuilt, replace(numpy, name="new", version="3"))
    )
    found = diff(before, after)
    assert found.added == (Change(subject="new", before=None, after="3"),)
    assert found.removed == (Change(subject="gone", before="1", after=None),)
    assert found.versions == (Change(subject="numpy", before="2.4.6", after="2.5"),)
    assert found.bytes == (
        Change(subject="torch", before=str(torch.wheel.sha256), after=str(Digest.of(b"again"))),
    )
    assert not found.same_environment
    assert not found.empty


def test_host_facts_that_changed_are_listed_though_the_environment_is_the_same(lock: Lock) -> None:
    after = replace(
        lock,
        cpu=replace(lock.cpu, model="Other", threads=()),
        gpu=replace(lock.gpu, driver=None, devices=()),
        os=replace(lock.os, kernel="6.6"),
        system_packages=lock.system_packages[:1],
        project=None,
        cuda=(),
    )
    found = diff(lock, after)
    assert found.same_environment
    assert not found.empty
    assert [one.subject for one in found.environment] == [
        "cpu",
        "cpu.threads.OMP_NUM_THREADS",
        "cuda.cudnn (wheel:nvidia-cudnn-cu13)",
        "gpu.devices[0]",
        "gpu.driver",
        "os.kernel",
        "project.commit",
        "project.dirty",
        "project.tree",
    ]
    assert found.system == (Change(subject="libgomp1:amd64", before="12.2.0-14", after=None),)


def test_another_interpreter_or_base_is_another_environment(lock: Lock) -> None:
    layer = replace(lock.base.layers[0], diff_id=Digest.of(b"new"))
    after = replace(
        lock, python=replace(lock.python, version="3.12.1"), base=replace(lock.base, layers=(layer,))
    )
    found = diff(lock, after)
    assert not found.same_environment
    assert [one.subject for one in found.environment] == ["base.layers[0]", "python"]
