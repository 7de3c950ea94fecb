"""Conda's records of a prefix, simulated; end_to_end/test_conda.py has one made by a real installer."""

import json
import os
from pathlib import Path

import pytest

from envlock.capture import conda
from envlock.core.digest import Digest
from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import CondaPackage, Gap
from tests.capture.simulators import CondaSimulator

SITE = "lib/python3.11/site-packages"


def installed(site: Path, dist_info: str) -> InstalledDistribution:
    name, version = dist_info.partition(".dist")[0].split("-")[:2]
    return InstalledDistribution(
        name=name,
        raw_name=name,
        version=version,
        site=site,
        dist_info=dist_info,
        tags=(),
        build=None,
        root_is_purelib=True,
        record=(),
        requires_python=None,
        installer="conda",
        direct_url=None,
    )


@pytest.fixture
def prefix(tmp_path: Path) -> CondaSimulator:
    return CondaSimulator(tmp_path / "prefix")


def test_a_package_is_recorded_with_channel_url_and_hashes(prefix: CondaSimulator) -> None:
    prefix.install("zlib", {"lib/libz.so.1.3": b""}, version="1.3.1", build="h4ab18f5_2")
    found, gaps = conda.read([prefix.prefix])
    assert gaps == ()
    assert found.packages == (
        CondaPackage(
            name="zlib",
            version="1.3.1",
            build="h4ab18f5_2",
            channel="https://conda.example/main",
            url="https://conda.example/main/linux-64/zlib-1.3.1-h4ab18f5_2.conda",
            sha256=Digest.of(b"zlib"),
            md5=str(json.loads(next(prefix.prefix.glob("conda-meta/*")).read_bytes())["md5"]),
        ),
    )


@pytest.mark.parametrize(
    ("url", "public"),
    [
        (
            "https://conda.example/t/ab-12-cd/private/linux-64/x-1-0.conda",
            "conda.example/private/linux-64/x-1-0",
        ),
        ("https://ann:pw@conda.example/main/x-1-0.conda", "conda.example/main/x-1-0"),
        ("https://conda.example/x-1-0.conda?token=abc#0123", "conda.example/x-1-0"),
        ("https://conda.example:8443/x-1-0.conda", "conda.example:8443/x-1-0"),
    ],
)
def test_no_credential_of_a_url_is_kept(url: str, public: str) -> None:
    assert conda.public_url(url) == f"https://{public}.conda"


@pytest.mark.parametrize(
    ("channel", "public"),
    [
        ("conda-forge", "conda-forge"),
        ("pkgs/main", "pkgs/main"),
        ("https://conda.example/t/ab-12", "https://conda.example"),
        ("file:///home/ann/channel", "file:channel"),
        ("/home/ann/channel/", "file:channel"),
        ("~/channel", "file:channel"),
        ("<unknown>", "<unknown>"),
        ("http://[", None),
    ],
)
def test_a_channel_is_a_name_or_a_url_and_never_a_directory_of_the_machine(
    channel: str, public: str | None
) -> None:
    assert conda.public_url(channel) == public


def test_records_of_other_shapes_give_what_they_have(prefix: CondaSimulator) -> None:
    prefix.install(
        "old", {}, files=None, paths_data="none", md5="short", sha256=7, url=None, channel="", subdir=None
    )
    prefix.install("odd", {}, files=[1, "lib/libodd.so"], paths_data={"paths": [1, {"_path": 2}]})
    found, gaps = conda.read([prefix.prefix])
    assert gaps == ()
    assert [one.name for one in found.packages] == ["odd", "old"]
    assert found.packages[1] == CondaPackage(name="old", version="1.0", build="h5eee18b_0", channel="unknown")
    assert [os.path.basename(path) for path in found.libraries] == ["libodd.so"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no name, version and build"),
        (b'{"name": "x", "version": 3, "build": "0"}', "no name, version and build"),
    ],
)
def test_a_broken_record_is_a_gap_and_the_others_are_read(
    prefix: CondaSimulator, data: bytes, reason: str
) -> None:
    prefix.install("good", {})
    (prefix.prefix / "conda-meta/bad-1-0.json").write_bytes(data)
    found, (gap,) = conda.read([prefix.prefix])
    assert [one.name for one in found.packages] == ["good"]
    assert gap.subject == "bad-1-0"
    assert reason in gap.reason


def test_records_that_cannot_be_opened_are_gaps(tmp_path: Path) -> None:
    (tmp_path / "a/conda-meta/dangling-1-0.json").parent.mkdir(parents=True)
    (tmp_path / "a/conda-meta/dangling-1-0.json").symlink_to("nowhere")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/conda-meta").write_text("a file")
    found, gaps = conda.read([tmp_path / "a", tmp_path / "b", tmp_path / "no such prefix"])
    assert found.packages == ()
    assert [gap.subject for gap in gaps] == ["dangling-1-0", "conda-meta"]


def test_two_records_of_one_package_are_a_gap(prefix: CondaSimulator) -> None:
    prefix.install("numpy", {}, version="1.0")
    prefix.install("numpy", {}, version="2.0")
    found, gaps = conda.read([prefix.prefix])
    assert [one.version for one in found.packages] == ["1.0", "2.0"]
    assert gaps == (Gap(subject="numpy", reason="conda-meta has more than one record of it"),)


def test_a_venv_on_a_conda_interpreter_sees_the_base_prefix_once(
    tmp_path: Path, prefix: CondaSimulator
) -> None:
    prefix.install("python", {"lib/libpython3.11.so.1.0": b""})
    (tmp_path / "again").symlink_to(prefix.prefix)
    found, gaps = conda.read([tmp_path / "venv", prefix.prefix, tmp_path / "again"])
    assert gaps == ()
    assert [one.name for one in found.packages] == ["python"]


def test_a_library_is_owned_through_links_of_files_and_directories(
    tmp_path: Path, prefix: CondaSimulator
) -> None:
    (prefix.prefix / "lib").mkdir(parents=True)
    (prefix.prefix / "lib64").symlink_to("lib")
    prefix.install("blas", {"lib/libblas.so.3.9": b"", "lib64/libtwin.so": b"", "include/blas.h": b""})
    (prefix.prefix / "lib/libblas.so").symlink_to("libblas.so.3.9")
    (tmp_path / "again").symlink_to(prefix.prefix)
    found, _ = conda.read([tmp_path / "again"])
    for path in ("again/lib/libblas.so", "prefix/lib/libblas.so", "prefix/lib64/libtwin.so"):
        owner = found.owner(str(tmp_path / path))
        assert owner is not None
        assert owner.name == "blas"
    assert found.owner(str(prefix.prefix / "include/blas.h")) is None
    assert found.owner(str(tmp_path / "libelse.so")) is None


def test_a_distribution_is_condas_while_its_record_is_what_conda_put_there(prefix: CondaSimulator) -> None:
    info = f"{SITE}/numpy-2.0.dist-info"
    files = {f"{info}/METADATA": b"Name: numpy", f"{info}/RECORD": b"numpy/__init__.py,,"}
    prefix.install("numpy-base", files, version="2.0")
    site = prefix.prefix / SITE
    ours, other = installed(site, "numpy-2.0.dist-info"), installed(site, "pip-24.0.dist-info")
    found, _ = conda.read([prefix.prefix])
    (package,) = found.packages
    first, second = conda.attach([ours, other], found)
    assert (first.conda, second.conda) == (package, None)
    # pip install --force-reinstall numpy==2.0: the same directory, another RECORD.
    (site / "numpy-2.0.dist-info/RECORD").write_bytes(b"numpy/__init__.py,sha256=x,1")
    assert conda.attach([ours], found)[0].conda is None
    (site / "numpy-2.0.dist-info/RECORD").unlink()
    assert conda.attach([ours], found)[0].conda is None


def test_the_hash_in_the_prefix_goes_before_that_in_the_package(prefix: CondaSimulator) -> None:
    path = f"{SITE}/x-1.dist-info/RECORD"
    entry = {"_path": path, "sha256": "0" * 64, "sha256_in_prefix": Digest.of(b"relocated").hex}
    prefix.install("x", {path: b"relocated"}, paths_data={"paths": [entry]})
    found, _ = conda.read([prefix.prefix])
    assert conda.attach([installed(prefix.prefix / SITE, "x-1.dist-info")], found)[0].conda is not None


def test_without_hashes_the_listed_directory_is_enough(prefix: CondaSimulator) -> None:
    prefix.install("x", {f"{SITE}/x-1.dist-info/RECORD": b""}, paths_data=None, noarch="python")
    prefix.install("egg", {f"{SITE}/y-1-py3.11.egg-info": b""}, paths_data=None)
    found, _ = conda.read([prefix.prefix])
    site = prefix.prefix / SITE
    both = conda.attach([installed(site, "x-1.dist-info"), installed(site, "y-1-py3.11.egg-info")], found)
    assert [one.conda and one.conda.name for one in both] == ["x", "egg"]


def test_no_conda_prefix_changes_nothing(tmp_path: Path) -> None:
    found, gaps = conda.read([tmp_path])
    one = installed(tmp_path, "x-1.dist-info")
    assert (found.packages, gaps, conda.attach([one], found)) == ((), (), (one,))


def test_packages_of_which_nothing_goes_along_are_named(prefix: CondaSimulator) -> None:
    prefix.install("zlib", {"lib/libz.so.1": b"", "include/zlib.h": b""})
    prefix.install("git", {"bin/git": b"", "share/man/man1/git.1": b""})
    prefix.install("headers", {"include/x.h": b"", "lib/pkgconfig/x.pc": b""})
    prefix.install("meta", {})
    prefix.install("pure", {f"{SITE}/pure.py": b"", "bin/pure": b""})
    prefix.install("gdal", {"lib/libgdal.so": b"", "etc/conda/activate.d/gdal.sh": b""})
    found, _ = conda.read([prefix.prefix])
    lost, scripts = conda.left_behind(found, ["lib/libz.so.1", "lib/libgdal.so"])
    assert (lost.subject, lost.harmless) == ("conda", False)
    assert lost.reason == "packages in no image, since Python loads nothing of them: git"
    assert scripts.reason == "activation scripts, which no image runs, may set variables for: gdal"
    assert conda.left_behind(conda.Conda(), []) == ()
