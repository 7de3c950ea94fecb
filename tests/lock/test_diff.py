from dataclasses import replace

import pytest

from envlock.core.digest import Digest
from envlock.lock.diff import Change, LockDiff, diff
from envlock.lock.model import Gap, Lock, SystemPackage


def tables(found: LockDiff) -> dict[str, list[tuple[str, str | None, str | None]]]:
    return {name: [(one.subject, one.before, one.after) for one in changes] for name, changes in found.tables}


def test_a_lock_does_not_differ_from_itself(lock: Lock, small_lock: Lock) -> None:
    assert diff(lock, lock).empty
    assert diff(lock, lock).unchanged == len(lock.packages)
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
        Change(subject="torch 2.13.0+cpu", before=str(torch.wheel.sha256), after=str(Digest.of(b"again"))),
    )
    assert (found.recorded, found.unchanged, found.tables) == ((), 0, ())
    assert not found.same_environment
    assert not found.empty


def test_other_bytes_of_one_version_come_with_the_reason(lock: Lock) -> None:
    numpy = lock.packages[0]
    wheel = replace(numpy.wheel, name="numpy-2.4.6-cp311-none-any.whl", sha256=Digest.of(b"other"))
    files = tuple(f"numpy/{name}.py" for name in "abcde")
    edited = replace(numpy, source="repacked", modified=files, wheel=wheel)
    (change,) = diff(lock, replace(lock, packages=(edited, lock.packages[1]))).bytes
    assert change.note == (
        "edited: numpy/a.py, numpy/b.py, numpy/c.py and 2 more; source index, then repacked; "
        f"{numpy.wheel.name}, then {wheel.name}"
    )
    (change,) = diff(replace(lock, packages=(edited,)), replace(lock, packages=(numpy,))).bytes
    assert change.note.startswith("no longer edited: numpy/a.py")


def test_what_an_older_lock_does_not_know_is_no_difference(lock: Lock) -> None:
    older = replace(
        lock,
        packages=tuple(
            replace(one, content_digest=None, licences=(), dependencies=()) for one in lock.packages
        ),
    )
    assert diff(older, lock).empty
    assert diff(lock, older).empty
    relicensed = replace(lock, packages=(lock.packages[0], replace(lock.packages[1], licences=("MIT",))))
    (change,) = diff(lock, relicensed).recorded
    assert (change.before, change.after) == ("licences ['BSD-3-Clause']", "licences ['MIT']")


def test_the_same_bytes_recorded_otherwise_are_a_group_of_their_own(lock: Lock) -> None:
    numpy, torch = lock.packages
    moved = replace(
        numpy, evidence="recorded", wheel=replace(numpy.wheel, url="https://mirror.example/n.whl")
    )
    found = diff(lock, replace(lock, packages=(moved, replace(torch, missing=()))))
    assert found.same_environment
    assert [(one.subject, one.before, one.after) for one in found.recorded] == [
        (
            "numpy 2.4.6",
            f"evidence matched, url {numpy.wheel.url}",
            "evidence recorded, url https://mirror.example/n.whl",
        ),
        ("torch 2.13.0+cpu", "missing ['torch/cuda/nccl.py']", None),
    ]


def test_facts_of_the_machine_that_changed_are_listed_though_the_environment_is_the_same(lock: Lock) -> None:
    after = replace(
        lock,
        cpu=replace(lock.cpu, model="Other", threads=(), flags=("avx512f", "fma")),
        gpu=replace(lock.gpu, driver=None, devices=lock.gpu.devices[:1]),
        os=replace(lock.os, kernel="6.6"),
        project=None,
        cuda=(),
    )
    found = diff(lock, after)
    assert found.same_environment
    assert tables(found) == {
        "os": [("kernel", "6.1.0", "6.6")],
        "cuda": [("cudnn (wheel:nvidia-cudnn-cu13)", "9.10.2", None)],
        "cpu": [
            ("flags", "avx2", "avx512f"),
            ("model", "Example 9000", "Other"),
            ("threads.OMP_NUM_THREADS", "8", None),
        ],
        "gpu": [
            ("devices[1]", "H100, capability 9.0, 10.2 GB, MIG 1g.10gb", None),
            ("driver", "580.65.06", None),
        ],
        "project": [
            ("commit", "0a1b", None),
            ("dirty", "true", None),
            ("remote", "https://code.example/me.git", None),
            ("tree", str(Digest.of(b"tree")), None),
        ],
    }


def test_of_a_listed_thing_the_version_is_told_and_the_rest_only_where_the_version_is_the_same(
    lock: Lock,
) -> None:
    libc = lock.system_packages[0]
    conda = lock.conda[0]
    after = replace(
        lock,
        system_packages=(replace(libc, version="2.41", sha256=Digest.of(b"x")), lock.system_packages[1]),
        conda=(replace(conda, build="h1", md5=None),),
        gaps=(replace(lock.gaps[0], harmless=False), lock.gaps[1]),
    )
    assert tables(diff(lock, after)) == {
        "system-packages": [("libc6:amd64", "2.36-9+deb12u9", "2.41")],
        "conda": [("zlib", _rest("h4ab18f5_2", f"md5 {conda.md5}"), _rest("h1"))],
        "gaps": [("gpu", "harmless true", None)],
    }


def _rest(build: str, *more: str) -> str:
    url = "url https://conda.example/conda-forge/linux-64/zlib-1.3.1-h4ab18f5_2.conda"
    return ", ".join(
        [f"build {build}", "channel conda-forge", url, f"sha256 {Digest.of(b'zlib').hex}", *more]
    )


def test_a_package_listed_twice_shows_both_versions(lock: Lock) -> None:
    twice = tuple(SystemPackage(name="kernel", version=one, architecture="x") for one in ("2", "1"))
    found = diff(replace(lock, system_packages=()), replace(lock, system_packages=twice))
    assert tables(found) == {"system-packages": [("kernel:x", None, "1 and 2")]}


def test_another_interpreter_or_base_is_another_environment(lock: Lock) -> None:
    layer = replace(lock.base.layers[0], diff_id=Digest.of(b"new"))
    after = replace(
        lock, python=replace(lock.python, version="3.12.1"), base=replace(lock.base, layers=(layer,))
    )
    found = diff(lock, after)
    assert not found.same_environment
    assert [(name, [one.subject for one in changes]) for name, changes in found.tables] == [
        ("python", ["version"]),
        ("base", ["layers[0].diff-id"]),
    ]


@pytest.mark.parametrize(
    "part", ["environment", "libraries", "gaps", "extra", "requires_python", "threads", "topology"]
)
def test_no_part_of_a_lock_changes_unseen(lock: Lock, part: str) -> None:
    changed = {
        "environment": replace(lock, environment=()),
        "libraries": replace(lock, libraries=lock.libraries[:1]),
        "gaps": replace(lock, gaps=(*lock.gaps, Gap(subject="x", reason="y"))),
        "extra": replace(lock, extra=(("odd", {"deep": [1, {"a": 2}]}),)),
        "requires_python": replace(lock, requires_python=">=3.11"),
        "threads": replace(lock, cpu=replace(lock.cpu, threads=())),
        "topology": replace(lock, gpu=replace(lock.gpu, topology=())),
    }
    assert not diff(lock, changed[part]).empty
