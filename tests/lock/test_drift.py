from dataclasses import replace
from pathlib import Path

import pytest

from envlock.lock.drift import Drift, drift
from envlock.lock.environment import Environment, HostFiles, InstalledDistribution, PackedPackage
from envlock.lock.model import Gap, Gpu, Lock, SystemPackage


def _installed(name: str, version: str, modified: tuple[str, ...] = ()) -> InstalledDistribution:
    return InstalledDistribution(
        name=name,
        raw_name=name,
        version=version,
        site=Path("/site-packages"),
        dist_info=f"{name}-{version}.dist-info",
        tags=("py3-none-any",),
        build=None,
        root_is_purelib=True,
        record=(),
        requires_python=None,
        installer="pip",
        direct_url=None,
        modified=modified,
    )


@pytest.fixture
def unchanged(lock: Lock) -> Environment:
    """The environment that ``lock`` was captured from."""
    return Environment(
        python=lock.python,
        os=lock.os,
        cpu=lock.cpu,
        gpu=lock.gpu,
        cuda=lock.cuda,
        project=lock.project,
        variables=lock.environment,
        distributions=tuple(_installed(one.name, one.version, one.modified) for one in lock.packages),
        host_files=HostFiles(
            packages=tuple(PackedPackage(package=one, files=(), status="") for one in lock.system_packages),
            loose=(),
            interpreter=None,
            python_executable="/usr/bin/python3.11",
        ),
        gaps=(),
    )


def test_an_unchanged_environment_has_no_drift(lock: Lock, unchanged: Environment) -> None:
    assert drift(lock, unchanged) == ()


def test_another_version_is_drift_of_the_environment(lock: Lock, unchanged: Environment) -> None:
    first, *others = unchanged.distributions
    now = replace(unchanged, distributions=(replace(first, version="9.9"), *others))
    assert drift(lock, now) == (
        Drift(grade="environment", subject=first.name, locked=first.version, found="9.9"),
    )


def test_packages_that_came_or_went_are_drift(lock: Lock, unchanged: Environment) -> None:
    gone, *others = unchanged.distributions
    now = replace(unchanged, distributions=(*others, _installed("extra", "1.0")))
    found = {(one.subject, one.locked, one.found) for one in drift(lock, now)}
    assert found == {(gone.name, gone.version, None), ("extra", None, "1.0")}


def test_what_the_capture_left_out_is_no_drift(lock: Lock, unchanged: Environment) -> None:
    locked = replace(lock, gaps=(*lock.gaps, Gap(subject="envlock", reason="left out: envlock itself")))
    now = replace(unchanged, distributions=(*unchanged.distributions, _installed("envlock", "0.1.0")))
    assert drift(locked, now) == ()


def test_a_file_edited_since_is_named_and_one_edited_before_is_not(
    lock: Lock, unchanged: Environment
) -> None:
    edited = tuple(replace(one, modified=(*one.modified, "module.py")) for one in unchanged.distributions[:1])
    now = replace(unchanged, distributions=(*edited, *unchanged.distributions[1:]))
    name = edited[0].name
    assert drift(lock, now) == (
        Drift(grade="environment", subject=f"{name}: module.py", locked="as installed", found="modified"),
    )


def test_interpreter_libc_and_system_packages_are_the_environment(lock: Lock, unchanged: Environment) -> None:
    assert unchanged.host_files is not None
    newer = PackedPackage(
        package=SystemPackage(name="zlib1g", version="9", architecture="amd64"), files=(), status=""
    )
    now = replace(
        unchanged,
        python=replace(lock.python, version="3.11.8"),
        os=replace(lock.os, libc="glibc 2.41", kernel="7.0"),
        host_files=replace(unchanged.host_files, packages=(newer,)),
    )
    grades = {one.subject: one.grade for one in drift(lock, now)}
    assert grades.pop("kernel") == "note"
    assert {"python", "libc", "system package zlib1g"} <= grades.keys()
    assert set(grades.values()) == {"environment"}


def test_another_host_is_graded_apart_from_the_environment(lock: Lock, unchanged: Environment) -> None:
    now = replace(unchanged, cpu=replace(lock.cpu, isa="x86-64-v4"), gpu=Gpu())
    found = drift(lock, now)
    assert {one.subject for one in found} == {"cpu isa", "gpu driver", "gpu"}
    assert {one.grade for one in found} == {"host"}
    assert next(one for one in found if one.subject == "gpu").found is None
