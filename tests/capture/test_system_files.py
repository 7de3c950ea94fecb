import os
from pathlib import Path

import pytest

from envlock.capture import packages_dpkg, system_files
from envlock.capture.packages import Database
from envlock.lock.environment import InstalledDistribution
from tests.capture import sites
from tests.capture.simulators import DpkgSimulator
from tests.capture.sites import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    path = tmp_path / "usr/lib/python3/dist-packages"
    path.mkdir(parents=True)
    return Site(path)


def load(root: Path) -> Database:
    found = packages_dpkg.load(root)
    assert found is not None
    return found


def installed(site: Site, dpkg: DpkgSimulator, package: str, *paths: str, version: str = "1.0-1") -> None:
    """Let dpkg list the files, with the checksums that they have now."""
    listed = {f"{site.path}/{path}": (site.path / path).read_bytes() for path in paths}
    dpkg.install(package, {**listed, f"{site.path}": None, "/usr/share/doc/x": None}, version=version)


def test_an_os_package_s_list_takes_the_place_of_record(
    site: Site, dpkg: DpkgSimulator, tmp_path: Path
) -> None:
    for path in ("demo/__init__.py", "demo/_c.so", "_demo.py"):
        site.put(path)
    single = site.put("demo-1.0.egg-info", "Name: demo\nVersion: 1.0\n")
    installed(
        site,
        dpkg,
        "python3-demo",
        "demo/__init__.py",
        "demo/_c.so",
        "_demo.py",
        single.name,
        version="1:1.0-2",
    )
    one = site.described("demo", "1.0", single.name)
    (found,) = system_files.read((one,), load(tmp_path))
    assert sites.names(found) == ["_demo.py", "demo-1.0.dist-info/METADATA", "demo/__init__.py", "demo/_c.so"]
    assert found.origin == (("package", "python3-demo 1:1.0-2"),)
    assert (found.dist_info, found.modified, found.record) == ("demo-1.0.dist-info", (), ())


def test_a_record_that_the_os_package_left_behind_is_not_believed(
    site: Site, dpkg: DpkgSimulator, tmp_path: Path
) -> None:
    one = site.install("demo", {"demo.py": "stripped since"})
    info = "demo-1.0.dist-info"
    site.put(f"{info}/RECORD", "demo.py,sha256=old,3\n")
    installed(site, dpkg, "python3-demo", "demo.py", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD")
    (found,) = system_files.read((one,), load(tmp_path))
    assert sites.names(found) == ["demo.py", f"{info}/METADATA", f"{info}/WHEEL"]
    assert (found.record, found.modified) == ((), ())


def test_what_differs_from_the_os_package_is_modified(
    site: Site, dpkg: DpkgSimulator, tmp_path: Path
) -> None:
    one = site.install("demo", {"demo.py": "before"}, recorded=False)
    installed(site, dpkg, "python3-demo", "demo.py", "demo-1.0.dist-info/METADATA")
    site.put("demo.py", "after")
    (found,) = system_files.read((one,), load(tmp_path))
    assert found.modified == ("demo.py",)


def test_distributions_of_one_os_package_share_its_files(
    site: Site, dpkg: DpkgSimulator, tmp_path: Path
) -> None:
    one = site.egg("one", {"top_level.txt": "one\n"})
    two = site.egg("two", {"top_level.txt": "two\n"})
    for path in ("one.py", "two/__init__.py", "shared.py"):
        site.put(path)
    paths = ["one.py", "two/__init__.py", "shared.py"]
    paths += [f"{info.dist_info}/PKG-INFO" for info in (one, two)]
    installed(site, dpkg, "python3-both", *paths)
    first, second = system_files.read((one, two), load(tmp_path))
    assert sites.names(first) == ["one-1.0.dist-info/METADATA", "one.py", "shared.py"]
    assert sites.names(second) == ["two-1.0.dist-info/METADATA", "two/__init__.py"]


def test_links_to_what_packages_share_are_followed(site: Site, dpkg: DpkgSimulator, tmp_path: Path) -> None:
    shared = Site(tmp_path / "usr/share/scripts")
    shared.put("lib.js", "js")
    one = site.install("demo", {"demo/__init__.py": ""}, recorded=False)
    (site.path / "demo/scripts").symlink_to(shared.path)
    (site.path / "demo/one.js").symlink_to(shared.path / "lib.js")
    listed = {
        f"{site.path}/{path}": None
        for path in ("demo/__init__.py", "demo/scripts", "demo/one.js", "demo/gone")
    }
    dpkg.install("python3-demo", {**listed, f"{site.path}/demo-1.0.dist-info/METADATA": None})
    (found,) = system_files.read((one,), load(tmp_path))
    assert sites.names(found)[:3] == ["demo/__init__.py", "demo/one.js", "demo/scripts/lib.js"]


def unchanged(one: InstalledDistribution, root: Path) -> bool:
    return system_files.read((one,), load(root)) == (one,)


def test_what_no_os_package_brought_stays_as_it_is(site: Site, dpkg: DpkgSimulator, tmp_path: Path) -> None:
    one = site.install("demo", {"demo.py": ""})
    dpkg.install("python3-other", {"/usr/lib/x": None})
    assert unchanged(one, tmp_path)
    dpkg.install("python3-demo", {f"{site.path}/demo-1.0.dist-info/METADATA": None})
    assert unchanged(one, tmp_path)


def test_an_os_package_of_absurd_size_is_a_gap(site: Site, dpkg: DpkgSimulator, tmp_path: Path) -> None:
    one = site.install("demo", {"demo.py": ""}, recorded=False)
    os.truncate(site.path / "demo.py", 1 << 40)
    paths = ("demo.py", "demo-1.0.dist-info/METADATA")
    dpkg.install("python3-demo", {f"{site.path}/{path}": None for path in paths})
    (found,) = system_files.read((one,), load(tmp_path))
    assert "8 GiB" in str(found.obstacle)
