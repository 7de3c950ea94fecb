from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.core.digest import Digest
from envlock.lock.drift import Drift, drift, unchecked
from envlock.lock.environment import DirectUrl, Environment, HostFiles, InstalledDistribution, PackedPackage
from envlock.lock.model import CudaLibrary, Gap, Gpu, Lock


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
        conda=lock.conda,
        libraries=lock.libraries,
        distributions=tuple(_installed(one.name, one.version, one.modified) for one in lock.packages),
        host_files=HostFiles(
            packages=tuple(PackedPackage(package=one, files=(), status="") for one in lock.system_packages),
            loose=(),
            interpreter=None,
            python_executable="/usr/bin/python3.11",
        ),
        gaps=(),
    )


def told(found: Iterable[Drift]) -> list[tuple[str, str, str, str | None, str | None]]:
    return [(one.grade, one.part, one.subject, one.locked, one.found) for one in found]


def test_an_unchanged_environment_has_no_drift(lock: Lock, unchanged: Environment) -> None:
    assert drift(lock, unchanged) == ()


def test_a_package_that_is_gone_breaks_and_others_change_results(lock: Lock, unchanged: Environment) -> None:
    gone, other = unchanged.distributions
    now = replace(unchanged, distributions=(replace(other, version="9.9"), _installed("extra", "1.0")))
    assert told(drift(lock, now)) == [
        ("breaks", "packages", gone.name, gone.version, None),
        ("results", "packages", "extra", None, "1.0"),
        ("results", "packages", other.name, other.version, "9.9"),
    ]


def test_what_the_capture_left_out_is_no_drift(lock: Lock, unchanged: Environment) -> None:
    locked = replace(lock, gaps=(*lock.gaps, Gap(subject="envlock", reason="left out: envlock itself")))
    now = replace(unchanged, distributions=(*unchanged.distributions, _installed("envlock", "0.1.0")))
    assert drift(locked, now) == ()


def test_files_edited_or_restored_since_are_named(lock: Lock, unchanged: Environment) -> None:
    numpy, torch = unchanged.distributions
    now = replace(
        unchanged,
        distributions=(
            replace(numpy, modified=("b.py", "a.py")),
            replace(torch, modified=torch.modified[:1]),
        ),
    )
    first, second = drift(lock, now)
    assert (first.grade, first.subject, first.locked, first.found, first.files) == (
        "results",
        "numpy 2.4.6",
        "2 files as installed",
        "edited",
        ("a.py", "b.py"),
    )
    assert (second.locked, second.found, second.files) == (
        "1 file edited",
        "as installed",
        ("torch/version.py",),
    )


def test_another_build_of_the_same_version_is_told(lock: Lock, unchanged: Environment) -> None:
    numpy, torch = unchanged.distributions
    known, other = Digest.of(b"captured"), Digest.of(b"reinstalled")
    locked = replace(lock, packages=(replace(lock.packages[0], content_digest=known), lock.packages[1]))
    same = replace(unchanged, distributions=(replace(numpy, content_digest=known), torch))
    assert drift(locked, same) == ()
    rebuilt = replace(numpy, content_digest=other)
    assert told(drift(locked, replace(unchanged, distributions=(rebuilt, torch)))) == [
        ("results", "packages", "numpy 2.4.6 files", str(known), str(other))
    ]
    # An edit says the same in better words; an editable install and an older lock say nothing.
    edited = replace(rebuilt, modified=("a.py",))
    (found,) = drift(locked, replace(unchanged, distributions=(edited, torch)))
    assert found.files == ("a.py",)
    assert drift(locked, replace(unchanged, distributions=(replace(rebuilt, editable=True), torch))) == ()
    assert drift(lock, replace(unchanged, distributions=(rebuilt, torch))) == ()


def test_what_was_edited_and_then_installed_from_the_lock_is_no_drift(
    lock: Lock, unchanged: Environment
) -> None:
    numpy, torch = unchanged.distributions
    again = replace(torch, modified=(), content_digest=lock.packages[1].content_digest)
    assert drift(lock, replace(unchanged, distributions=(numpy, again))) == ()


def test_a_file_that_was_edited_at_capture_and_is_edited_otherwise_now_is_told(
    lock: Lock, unchanged: Environment
) -> None:
    numpy, torch = unchanged.distributions
    first, second = Digest.of(b"first"), Digest.of(b"second")
    packages = (lock.packages[0], replace(lock.packages[1], modified_digest=first))
    locked = replace(lock, packages=packages)
    same = replace(unchanged, distributions=(numpy, replace(torch, modified_digest=first)))
    assert drift(locked, same) == ()
    again = replace(unchanged, distributions=(numpy, replace(torch, modified_digest=second)))
    (found,) = drift(locked, again)
    assert (found.grade, found.subject, found.files) == (
        "results",
        f"torch {torch.version}",
        lock.packages[1].modified,
    )
    assert found.found == "edited otherwise"
    # A lock that was made before there was such a digest says nothing.
    assert drift(lock, again) == ()


def test_another_commit_or_tree_of_the_same_version_changes_results(
    lock: Lock, unchanged: Environment
) -> None:
    numpy, torch = unchanged.distributions
    direct = DirectUrl(kind="vcs", url="https://code.example/torch.git", commit="1111")
    now = replace(unchanged, distributions=(numpy, replace(torch, direct_url=direct)))
    assert told(drift(lock, now)) == [("results", "packages", "torch 2.13.0+cpu commit", "0f9e", "1111")]
    locked = replace(lock, packages=(replace(lock.packages[0], origin=(("tree", "a"),)), lock.packages[1]))
    now = replace(unchanged, distributions=(replace(numpy, origin=(("tree", "b"),)), torch))
    assert told(drift(locked, now)) == [("results", "packages", "numpy 2.4.6 tree", "a", "b")]


def test_another_abi_machine_or_older_libc_breaks_and_a_newer_libc_changes_results(
    lock: Lock, unchanged: Environment
) -> None:
    now = replace(
        unchanged,
        python=replace(lock.python, abi="cpython-312", version="3.12.1", build="x", prefix_kind="venv"),
        os=replace(lock.os, machine="aarch64", libc="glibc 2.9", kernel="7.0", version="13"),
    )
    assert [one[:3] for one in told(drift(lock, now))] == [
        ("breaks", "python", "abi"),
        ("breaks", "os", "libc"),
        ("breaks", "os", "machine"),
        ("results", "python", "build"),
        ("results", "python", "version"),
        ("none", "python", "kind of prefix"),
        ("none", "os", "distribution"),
        ("none", "os", "kernel"),
    ]
    newer = replace(unchanged, os=replace(lock.os, libc="glibc 2.41"))
    assert told(drift(lock, newer)) == [("results", "os", "libc", "glibc 2.36", "glibc 2.41")]


def test_packages_of_the_system_and_of_conda_and_cuda_libraries(lock: Lock, unchanged: Environment) -> None:
    assert unchanged.host_files is not None
    libc = lock.system_packages[0]
    packed = (PackedPackage(package=replace(libc, version="9"), files=(), status=""),)
    now = replace(
        unchanged,
        host_files=replace(unchanged.host_files, packages=packed),
        conda=(replace(lock.conda[0], build="h1"),),
        cuda=(
            CudaLibrary(name="cudnn", version="9.11", origin="os:x"),
            CudaLibrary(name="cudnn", version="8", origin="unowned"),
        ),
    )
    assert told(drift(lock, now)) == [
        ("results", "system-packages", "libc6:amd64", "2.36-9+deb12u9", "9"),
        ("results", "system-packages", "libgomp:amd64", "12.2.0-14", None),
        ("results", "conda", "zlib", "1.3.1 h4ab18f5_2", "1.3.1 h1"),
        ("results", "cuda", "cudnn", "9.10.2 wheel:nvidia-cudnn-cu13", "8 unowned, 9.11 os:x"),
    ]
    gone = replace(unchanged, host_files=None, conda=(), cuda=())
    assert [one[:3] for one in told(drift(lock, gone))] == [
        ("breaks", "conda", "zlib"),
        ("breaks", "cuda", "cudnn"),
    ]


def test_a_library_with_another_owner_and_a_new_one_without_are_drift(
    lock: Lock, unchanged: Environment
) -> None:
    libraries = (("libgomp.so.1", "wheel:torch"), ("libnew.so", "unowned"), ("libz.so.1", "os:zlib1g"))
    now = replace(unchanged, libraries=libraries)
    assert told(drift(lock, now)) == [
        ("results", "libraries", "libgomp.so.1", "os:libgomp", "wheel:torch"),
        ("results", "libraries", "libnew.so", None, "unowned"),
    ]
    assert drift(replace(lock, libraries=()), now) == ()


def test_a_weaker_processor_breaks_and_another_changes_results(lock: Lock, unchanged: Environment) -> None:
    now = replace(
        unchanged,
        cpu=replace(lock.cpu, model="Other", isa="x86-64-v2", flags=("fma", "sse4_2"), cores=4, blas=()),
    )
    assert told(drift(lock, now)) == [
        ("breaks", "cpu", "isa", "x86-64-v3", "x86-64-v2"),
        ("results", "cpu", "blas", "openblas 0.3.30", None),
        ("results", "cpu", "flags", "avx2", "sse4_2"),
        ("results", "cpu", "model", "Example 9000", "Other"),
        ("none", "cpu", "cores", "8", "4"),
    ]
    newer = replace(unchanged, cpu=replace(lock.cpu, isa="x86-64-v4"))
    assert [one.grade for one in drift(lock, newer)] == ["results"]


def test_cores_change_results_where_no_variable_sets_the_threads(lock: Lock, unchanged: Environment) -> None:
    locked = replace(lock, cpu=replace(lock.cpu, threads=(), flags=(), blas=()))
    now = replace(unchanged, cpu=replace(unchanged.cpu, threads=(), cores=4))
    assert told(drift(locked, now)) == [("results", "cpu", "cores", "8", "4")]


def test_a_gpu_that_is_gone_or_older_breaks(lock: Lock, unchanged: Environment) -> None:
    gone = told(drift(lock, replace(unchanged, gpu=Gpu())))
    assert [(one[0], one[2], one[4]) for one in gone] == [
        ("breaks", "cuda of the driver", None),
        ("breaks", "devices", None),
        ("results", "0-1", None),
        ("results", "driver", None),
    ]
    first, second = lock.gpu.devices
    for gpu, grade in (
        (replace(lock.gpu, devices=(replace(first, capability="8.0"), second)), "breaks"),
        (replace(lock.gpu, devices=(replace(first, capability="10.0"), second)), "results"),
        (replace(lock.gpu, devices=(first, second, first)), "results"),
        (replace(lock.gpu, cuda="12.9"), "breaks"),
        (replace(lock.gpu, cuda="13.1"), "results"),
    ):
        (one,) = drift(lock, replace(unchanged, gpu=gpu))
        assert one.grade == grade
    none = replace(lock, gpu=Gpu())
    assert {one.grade for one in drift(none, unchanged)} == {"results"}


def test_variables_are_told_once(lock: Lock, unchanged: Environment) -> None:
    now = replace(unchanged, variables=(("MKL_CBWR", "COMPATIBLE"),), cpu=replace(lock.cpu, threads=()))
    assert told(drift(lock, now)) == [
        ("results", "environment", "CUBLAS_WORKSPACE_CONFIG", ":4096:8", None),
        ("results", "environment", "MKL_CBWR", "AVX2", "COMPATIBLE"),
        ("results", "environment", "OMP_NUM_THREADS", "8", None),
    ]


def test_the_projects_code_counts_where_it_was_captured(lock: Lock, unchanged: Environment) -> None:
    assert lock.project is not None
    other = replace(lock.project, commit="ffff", tree=Digest.of(b"other"))
    assert [one[:3] for one in told(drift(lock, replace(unchanged, project=other)))] == [
        ("results", "project", "tree"),
        ("none", "project", "commit"),
    ]
    same_code = replace(unchanged, project=replace(other, tree=lock.project.tree))
    assert [one.grade for one in drift(lock, same_code)] == ["none"]
    assert drift(lock, replace(unchanged, project=None)) == ()
    assert len(drift(lock, replace(unchanged, project=replace(other, tree=None)))) == 2


def test_what_could_not_be_read_now_and_could_at_capture_is_unchecked(
    lock: Lock, unchanged: Environment
) -> None:
    new = Gap(subject="numpy", reason="its RECORD can't be read")
    quiet = Gap(subject="x", reason="left out", harmless=True)
    assert unchecked(lock, replace(unchanged, gaps=(*lock.gaps, quiet, new))) == (new,)
