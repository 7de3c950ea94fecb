from pathlib import Path

from envlock.capture import packages_dpkg
from envlock.capture.packages import Database
from tests.capture.simulators import DpkgSimulator


def load(root: Path) -> Database:
    database = packages_dpkg.load(root)
    assert database is not None
    return database


def test_no_database_is_none(tmp_path: Path) -> None:
    assert packages_dpkg.load(tmp_path / "elsewhere") is None


def test_owner_is_found_under_both_spellings_of_a_merged_usr(tmp_path: Path, dpkg: DpkgSimulator) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    dpkg.install("libc6", {"/lib/libc.so.6": b"x", "/usr/lib/libm.so.6": b"y"}, same=True, version="2:2.36-9")
    database = load(tmp_path)
    for path in ("/lib/libc.so.6", "/usr/lib/libc.so.6", "/lib/libm.so.6"):
        owner = database.owner(path)
        assert owner is not None
        assert (owner.name, owner.version, owner.architecture) == ("libc6", "2:2.36-9", "amd64")
    assert database.owner("/library") is None
    package = database.named("libc6")
    assert package is not None
    assert database.files(package) == ("/usr/lib/libc.so.6", "/usr/lib/libm.so.6")
    assert set(database.checksums(package)) == {"/usr/lib/libc.so.6", "/usr/lib/libm.so.6"}
    assert package.status.startswith("Package: libc6\n")


def test_merged_directories_do_not_alias_without_a_link(tmp_path: Path, dpkg: DpkgSimulator) -> None:
    dpkg.install("a", {"/lib/a": b""})
    assert load(tmp_path).owner("/usr/lib/a") is None


def test_removed_package_owns_nothing(tmp_path: Path, dpkg: DpkgSimulator) -> None:
    dpkg.install("gone", {"/usr/bin/gone": b""}, state="deinstall ok config-files")
    database = load(tmp_path)
    assert database.owner("/usr/bin/gone") is None
    assert database.named("gone") is None


def test_diverted_file_lies_where_the_diversion_says(tmp_path: Path, dpkg: DpkgSimulator) -> None:
    dpkg.install("new", {"/usr/bin/tool": b"new"})
    dpkg.install("old", {"/usr/bin/tool": b"old"})
    (tmp_path / "var/lib/dpkg/diversions").write_text("/usr/bin/tool\n/usr/bin/tool.old\nnew\n")
    database = load(tmp_path)
    first, second = database.owner("/usr/bin/tool"), database.owner("/usr/bin/tool.old")
    assert first is not None
    assert second is not None
    assert (first.name, second.name) == ("new", "old")
    assert database.files(second) == ("/usr/bin/tool.old",)
    assert list(database.checksums(second)) == ["/usr/bin/tool.old"]
