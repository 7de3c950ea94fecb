"""A real rpm database: packages built by rpmbuild, installed by rpm below a directory."""

import os
import subprocess
from pathlib import Path

import pytest

from envlock.capture import packages_rpm, packages_select
from envlock.capture.packages_rpm import RpmDatabase
from envlock.runtime.errors import UnreachableError
from tests.capture.simulators import put_file

SPEC = """\
Name: demo
Epoch: 2
Version: 1.0
Release: 3
Summary: A demo
License: MIT
Vendor: Example
%description
A demo.
%package libs
Summary: Libraries
BuildArch: noarch
%description libs
Libraries.
%install
mkdir -p %{buildroot}/usr/lib64 %{buildroot}/etc %{buildroot}/var/log
mkdir -p %{buildroot}/usr/share/licenses/demo %{buildroot}/usr/share/doc/demo
echo library > %{buildroot}/usr/lib64/libdemo.so.1.0
ln -s libdemo.so.1.0 %{buildroot}/usr/lib64/libdemo.so.1
echo conf > %{buildroot}/etc/demo.conf
echo text > %{buildroot}/usr/share/licenses/demo/COPYING
echo text > %{buildroot}/usr/share/doc/demo/README
echo data > "%{buildroot}/usr/lib64/with space.txt"
touch %{buildroot}/var/log/demo.log
%files
/usr/lib64/libdemo.so.1
/usr/lib64/libdemo.so.1.0
%config(noreplace) /etc/demo.conf
%license /usr/share/licenses/demo/COPYING
%ghost /var/log/demo.log
%files libs
%doc /usr/share/doc/demo/README
"/usr/lib64/with space.txt"
"""
PLACE = "/usr/lib/sysimage/rpm"


@pytest.fixture(scope="module")
def root(rpm: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two installed packages; documentation was left out, as in container images."""
    top = tmp_path_factory.mktemp("rpm")
    spec = put_file(top / "demo.spec", SPEC.encode())
    home = {**os.environ, "HOME": str(top)}
    build = ["rpmbuild", "-bb", "--define", f"_topdir {top}/build", str(spec)]
    subprocess.run(build, check=True, capture_output=True, env=home)
    root = top / "root"
    root.mkdir()
    packages = sorted(map(str, (top / "build/RPMS").rglob("*.rpm")))
    install = [rpm, "--root", str(root), "--dbpath", PLACE, "-i", "--nodeps", "--excludedocs", *packages]
    subprocess.run(install, check=True, capture_output=True, env=home)
    return root


def load(root: Path) -> RpmDatabase:
    database = packages_rpm.load(root)
    assert database is not None
    return database


def test_packages_have_epoch_release_and_architecture(root: Path) -> None:
    database = load(root)
    found = [(one.name, one.version, one.manager) for one in database.packages.values()]
    assert found == [("demo", "2:1.0-3", "rpm"), ("demo-libs", "2:1.0-3", "rpm")]
    libs = database.named("demo-libs")
    assert libs is not None
    assert libs.architecture == "noarch"
    assert packages_select.load(root) == (database, ())


def test_owner_and_checksums_are_those_of_the_files(root: Path) -> None:
    database = load(root)
    demo = database.owner("/usr/lib64/libdemo.so.1.0")
    assert demo is not None
    assert database.files(demo) == (
        "/etc/demo.conf",
        "/usr/lib64/libdemo.so.1",
        "/usr/lib64/libdemo.so.1.0",
        "/usr/share/licenses/demo/COPYING",
    )
    done = subprocess.run(
        ["sha256sum", root / "usr/lib64/libdemo.so.1.0"], capture_output=True, text=True, check=True
    )
    # Neither the link nor the configuration has one.
    checksums = database.checksums(demo)
    assert checksums["/usr/lib64/libdemo.so.1.0"] == f"sha256:{done.stdout.split()[0]}"
    assert sorted(checksums) == ["/usr/lib64/libdemo.so.1.0", "/usr/share/licenses/demo/COPYING"]
    assert database.licences(demo) == ("/usr/share/licenses/demo/COPYING",)


def test_ghost_counts_where_it_exists_and_left_out_documentation_never(root: Path) -> None:
    database = load(root)
    demo, libs = database.named("demo"), database.named("demo-libs")
    assert demo is not None
    assert libs is not None
    put_file(root / "var/log/demo.log", b"made")
    try:
        assert "/var/log/demo.log" in database.files(demo)
        assert "/var/log/demo.log" not in database.checksums(demo)
    finally:
        (root / "var/log/demo.log").unlink()
    assert database.files(libs) == ("/usr/lib64/with space.txt",)


def test_what_the_image_repeats_tells_no_time_of_installation(root: Path) -> None:
    demo = load(root).named("demo")
    assert demo is not None
    name, release, installed, built, vendor, epoch, _, _, number, source = demo.status.split("\t")
    assert (name, release, installed, vendor, epoch) == ("demo", "1.0-3", "0", "Example", "2")
    assert (number, source, built.isdigit()) == ("2", "demo-1.0-3.src.rpm", True)


def test_database_that_rpm_can_not_read_is_out_of_reach(rpm: str, tmp_path: Path) -> None:
    put_file(tmp_path / "var/lib/rpm/rpmdb.sqlite", b"no database\n" * 500)
    assert rpm
    with pytest.raises(UnreachableError, match="rpm can't read its database"):
        packages_rpm.load(tmp_path)


def test_keys_are_no_packages_and_md5_is_the_oldest_checksum() -> None:
    tags = "gpg-pubkey\t1\t2\t(none)\t(none)\t(none)\tx\t0\t(none)\t0"
    old = "old\t1\t2\ti686\t(none)\t(none)\tx\t0\told.src.rpm\t0"
    text = f"F\t0\t0\tx\t/first\nP\t{tags}\nP\t{old}\nF\t0\t0\t{'a' * 32}\t/usr/bin/old\nF\tshort\n"
    database = packages_rpm._database(Path("/"), text)
    assert database is not None
    (package,) = database.packages.values()
    assert (package.version, database.checksums(package)) == ("1-2", {"/usr/bin/old": "md5:" + "a" * 32})
    assert packages_rpm._database(Path("/"), "") is None


def test_no_database_is_none(tmp_path: Path) -> None:
    assert packages_rpm.load(tmp_path) is None
