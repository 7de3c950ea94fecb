"""The package databases: which one a system has, and what is common to all."""

from pathlib import Path

import pytest

from envlock.capture import packages_select
from envlock.capture.packages import OsPackage, Unmanaged, merged, real
from envlock.lock.model import Gap
from tests.capture.simulators import DpkgSimulator, put_file

APK = b"P:musl\nV:1.2.5-r0\nA:x86_64\nF:lib\nR:ld-musl-x86_64.so.1\n\n"


def load(root: Path) -> tuple[str, tuple[Gap, ...]]:
    database, gaps = packages_select.load(root)
    return type(database).__name__, gaps


def test_the_first_database_that_has_packages_is_taken(tmp_path: Path) -> None:
    put_file(tmp_path / "lib/apk/db/installed", APK)
    # As where a Debian tool made the directory, and nothing is installed with it.
    (tmp_path / "var/lib/dpkg/info").mkdir(parents=True)
    assert load(tmp_path) == ("ApkDatabase", ())
    DpkgSimulator(tmp_path).install("dash", {"/bin/sh": b""})
    assert load(tmp_path) == ("DpkgDatabase", ())


def test_system_without_any_database_owns_nothing_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    database, (gap,) = packages_select.load(tmp_path)
    assert isinstance(database, Unmanaged)
    assert (gap.subject, gap.harmless) == ("base", False)
    assert database.owner("/lib/libc.so.6") is None
    assert database.aliases == (("/lib", "/usr/lib"),)
    package = OsPackage(key="x", name="x", version="1", architecture="amd64", manager="apk", status="")
    assert (database.files(package), database.checksums(package), database.licences(package)) == ((), {}, ())
    assert database.identified([package]) == (package.described,)


def test_rpm_database_without_the_program_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_file(tmp_path / "var/lib/rpm/Packages.db", b"")
    monkeypatch.setenv("PATH", str(tmp_path))
    name, (gap,) = load(tmp_path)
    assert name == "Unmanaged"
    assert gap.reason.startswith("the rpm database can't be read")


def test_links_that_lead_to_links_are_followed_to_the_real_directory(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/sbin").symlink_to("bin")
    (tmp_path / "sbin").symlink_to("usr/sbin")
    (tmp_path / "bin").symlink_to("/usr/bin")
    aliases = merged(tmp_path)
    assert aliases == (("/usr/sbin", "/usr/bin"), ("/bin", "/usr/bin"), ("/sbin", "/usr/bin"))
    assert [real(path, aliases) for path in ("/sbin/init", "/bin", "/binary")] == [
        "/usr/bin/init",
        "/usr/bin",
        "/binary",
    ]
