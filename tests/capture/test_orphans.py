import os
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.capture import orphans, source_tree
from envlock.capture.orphan_scan import Limits
from envlock.lock.environment import InstalledDistribution, RecordEntry
from envlock.lock.model import Gap
from envlock.runtime.layout import HOOK
from tests.capture import sites
from tests.capture.sites import Site
from tests.ordinary_user import ordinary_user


@pytest.fixture
def site(tmp_path: Path) -> Site:
    path = tmp_path / "env/site-packages"
    path.mkdir(parents=True)
    return Site(path)


def read(
    site: Site,
    *distributions: InstalledDistribution,
    more: tuple[Path, ...] = (),
    limits: Limits | None = None,
) -> tuple[InstalledDistribution | None, tuple[Gap, ...]]:
    paths = (site.path, *more)
    return orphans.read(paths, (), distributions, sites.search(*paths), limits)


def reasons(gaps: tuple[Gap, ...]) -> dict[str, str]:
    return {gap.subject: gap.reason for gap in gaps}


def test_a_site_without_orphans_has_none(site: Site) -> None:
    demo = site.install("demo", {"demo/__init__.py": "", "../../bin/demo": ""})
    for path in (
        "demo/__pycache__/__init__.cpython-311.pyc",
        "demo/__init__.pyc",
        "__pycache__/x.pyc",
        "gone/__pycache__/x.pyc",
        "distutils-precedence.pth",
        "_virtualenv.py",
        "other-1.0.dist-info/METADATA",
        "README.txt",
    ):
        site.put(path)
    assert read(site, demo) == (None, ())


def test_importable_orphans_are_carried_and_named(site: Site) -> None:
    demo = site.install("demo", {"demo/__init__.py": ""})
    for path in (
        "dropped.py",
        "sitecustomize.py",
        "_fast.cpython-311-x86_64-linux-gnu.so",
        "sourceless.pyc",
        "left/__init__.py",
        "left/sub/data.json",
        "demo/added.py",
        "demo/plugin/mod.py",
        "demo/plugin/data.txt",
    ):
        site.put(path)
    site.put("start.pth", "import os\n")
    site.put("paths.pth", "# nothing\n/absent\n")
    found, gaps = read(site, demo)
    assert found is not None
    assert sites.names(found) == [
        "_fast.cpython-311-x86_64-linux-gnu.so",
        "demo/added.py",
        "demo/plugin/data.txt",
        "demo/plugin/mod.py",
        "dropped.py",
        "left/__init__.py",
        "left/sub/data.json",
        "sitecustomize.py",
        "sourceless.pyc",
        "start.pth",
    ]
    assert found.carried[1].sha256 == sites.sha256("")
    assert {"left/ (2 files)", "demo/plugin/ (2 files)", "dropped.py"} <= set(reasons(gaps))
    assert all(gap.harmless for gap in gaps)


def test_what_is_no_code_or_must_not_leave_is_named_and_left(site: Site) -> None:
    demo = site.install("demo", {"demo/__init__.py": ""})
    site.put("demo/cache.bin")
    site.put("data/table.csv")
    site.put(".env", "TOKEN=1")
    site.put("left/__init__.py")
    site.put("left/id_rsa")
    site.put("homely.py", "PATH = '/home/ann/x'\n")
    site.put("odd\n.py")
    site.put("~umpy/__init__.py")
    site.put("zipped-1.0-py3.11.egg", "PK")
    found, gaps = read(site, demo)
    assert found is not None
    assert sites.names(found) == ["left/__init__.py"]
    told = reasons(gaps)
    assert told.pop("left/").endswith("carried in envlock-orphans")
    assert told == {
        ".env": "left out: belongs to no distribution and is no Python code",
        "data/ (1 file)": "left out: belongs to no distribution and is no Python code",
        "demo/cache.bin": "left out: belongs to no distribution and is no Python code",
        "homely.py": "left out: belongs to no distribution and names a home directory",
        "left/id_rsa": "left out: belongs to no distribution and holds a secret",
        "odd\\n.py": "left out: belongs to no distribution and has a name that no wheel can hold",
        "zipped-1.0-py3.11.egg": (
            "left out: is an archive of code, which no wheel holds: install its project with pip"
        ),
        "~umpy/ (1 file)": "left out: belongs to no distribution and is no Python code",
    }


def test_binaries_may_hold_the_bytes_of_a_home_directory(site: Site) -> None:
    site.put("_fast.so", "\0/home/ann/build/x.c")
    found, _ = read(site)
    assert found is not None


def test_an_unreadable_orphan_is_named(public_directory: Path) -> None:
    site = Site(public_directory / "site-packages")
    site.put("closed.py").chmod(0)
    with ordinary_user():
        found, (gap,) = read(site)
    assert found is None
    assert gap.reason == "left out: belongs to no distribution and can't be read"


def test_name_and_version_depend_on_the_files_alone(site: Site, tmp_path: Path) -> None:
    site.put("dropped.py", "x = 1")
    other = Site(tmp_path / "other/site-packages")
    other.put("dropped.py", "x = 1")
    (first, _), (second, _) = read(site), read(other)
    assert first is not None
    assert second is not None
    assert (first.version, first.dist_info) == (second.version, second.dist_info)
    assert first.version.startswith("0+h")
    other.put("dropped.py", "x = 2")
    changed, _ = read(other)
    assert changed is not None
    assert changed.version != first.version


def test_an_environment_made_from_the_lock_gives_the_same_orphans(site: Site) -> None:
    site.put("dropped.py", "x = 1")
    first, first_gaps = read(site)
    assert first is not None
    installed = site.install(orphans.NAME, {"dropped.py": "x = 1"}, version=first.version)
    again = orphans.without_own((installed,))
    assert again == ()
    assert read(site, *again) == (first, first_gaps)


def test_a_module_that_an_earlier_directory_hides_is_nothing(site: Site, tmp_path: Path) -> None:
    later = Site(tmp_path / "later/site-packages")
    site.put("numpy/__init__.py")
    later.put("numpy/core/extra.py")
    later.put("six.py")
    found, _ = read(site, more=(later.path,))
    assert found is not None
    assert sites.names(found) == ["numpy/__init__.py", "six.py"]


def test_a_source_directory_on_the_path_is_looked_through(site: Site, tmp_path: Path) -> None:
    source = Site(tmp_path / "work")
    source.put("tool.py")
    source.put("package/__init__.py")
    source.put("package/.env")
    source.put("notes.txt")
    site.put("os/__init__.py")
    source.put("os.py")
    found, gaps = read(site, more=(source.path, tmp_path / "absent"))
    assert found is not None
    assert sites.names(found) == ["os/__init__.py", "package/__init__.py", "tool.py"]
    assert reasons(gaps)["package/.env"] == "left out: holds a secret"
    claimed = replace(source.install("tool", {"tool.py": ""}), site=source.path)
    found, _ = orphans.read((source.path,), (source.path,), (claimed,), sites.search())
    assert found is None


def test_an_environment_inside_a_source_directory_is_looked_through_itself(tmp_path: Path) -> None:
    source = Site(tmp_path / "work")
    inner = Site(source.path / ".venv/lib/site-packages")
    inner.put("dropped.py")
    found, _ = read(inner, more=(source.path, inner.path / "win32/lib"))
    assert found is not None
    assert sites.names(found) == ["dropped.py"]


def test_links_in_a_circle_and_pipes_are_named(site: Site) -> None:
    site.put("left/__init__.py")
    (site.path / "left/loop").symlink_to(site.path)
    (site.path / "self").symlink_to(site.path / "self")
    (site.path / "file.py").symlink_to(site.path / "file.py")
    os.mkfifo(site.path / "pipe.py")
    (site.path / "root").symlink_to("/")
    found, gaps = read(site)
    assert found is not None
    assert sites.names(found) == ["left/__init__.py"]
    assert [(gap.subject, gap.reason) for gap in gaps if not gap.harmless] == [
        ("file.py", "left out: is neither a file nor a directory"),
        ("left/loop", "left out: is a link to a directory that it lies in"),
        ("pipe.py", "left out: is neither a file nor a directory"),
        ("root", "left out: is a link that leads out of site-packages"),
        ("self", "left out: is neither a file nor a directory"),
    ]


def test_links_in_a_circle_and_pipes_of_a_distribution_are_its_own(site: Site) -> None:
    demo = site.install("demo", {"demo/__init__.py": ""})
    (site.path / "demo/loop").symlink_to(site.path / "demo")
    os.mkfifo(site.path / "demo/pipe")
    links = tuple(RecordEntry(path=f"demo/{name}", sha256=None, size=None) for name in ("loop", "pipe"))
    assert read(site, replace(demo, record=(*demo.record, *links))) == (None, ())


def test_files_of_a_linked_package_are_its_distribution_s(site: Site, tmp_path: Path) -> None:
    source = Site(tmp_path / "work")
    source.put("demo/__init__.py")
    (site.path / "demo").symlink_to(source.path / "demo")
    absolute = RecordEntry(path=f"{site.path}/demo/__init__.py", sha256=None, size=None)
    demo = replace(site.install("demo", {}), record=(absolute,))
    assert read(site, demo) == (None, ())


def test_more_files_than_code_has_are_counted_and_not_held(site: Site) -> None:
    demo = site.install("demo", {"demo/__init__.py": ""})
    for at in range(4):
        site.put(f"demo/{at}.py")
        site.put(f"left/{at}/x.py")
    found, gaps = read(site, demo, limits=Limits(directory=3))
    assert found is None
    words = "left out: belongs to no distribution and holds 4 files, too many to be code"
    assert reasons(gaps) == {"demo/": words, "left/": words}


def test_too_many_orphans_in_all_are_left_out(site: Site) -> None:
    for at in range(4):
        site.put(f"m{at}.py")
    found, (gap,) = read(site, limits=Limits(carried=2))
    assert found is None
    assert gap.subject == "4 files"


def test_only_so_many_are_named(site: Site) -> None:
    for at in range(3):
        site.put(f"m{at}.py")
        site.put(f"d{at}.bin")
    _, gaps = read(site, limits=Limits(named=1))
    assert [(gap.subject, gap.harmless) for gap in gaps] == [
        ("m0.py", True),
        (orphans.NAME, True),
        ("d0.bin", False),
        (orphans.NAME, False),
    ]


def test_a_package_of_absurd_size_in_a_source_directory_is_named(site: Site, tmp_path: Path) -> None:
    source = Site(tmp_path / "work")
    source.put("big/__init__.py")
    os.truncate(source.put("big/data"), source_tree.MOST_BYTES + 1)
    found, (gap,) = read(site, more=(source.path,))
    assert found is None
    assert (gap.subject, gap.reason.endswith("8 GiB")) == ("big", True)


def runtime(place: Path) -> Path:
    """Put what an image that envlock built has on its sys.path."""
    for name in ("__init__.py", "runtime/__init__.py", "runtime/startup.py"):
        path = place / "envlock" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return place


def test_the_runtime_in_an_image_that_envlock_built_is_no_orphan(site: Site, tmp_path: Path) -> None:
    demo = site.install("demo", {"demo/__init__.py": ""})
    site.put("envlock.pth", HOOK)
    place = runtime(tmp_path / "runtime")
    assert read(site, demo, more=(place,)) == (None, ())
    # What somebody else puts there is seen all the same.
    (place / "dropped.py").touch()
    found, _ = read(site, demo, more=(place,))
    assert found is not None
    assert sites.names(found) == ["dropped.py"]


def test_a_package_that_is_only_called_like_the_runtime_is_carried(site: Site, tmp_path: Path) -> None:
    demo = site.install("demo", {"demo/__init__.py": ""})
    place = runtime(tmp_path / "runtime")
    (place / "envlock/mine.py").touch()
    found, _ = read(site, demo, more=(place,))
    assert found is not None
    assert "envlock/mine.py" in sites.names(found)


def test_a_file_that_is_only_called_like_the_hook_is_named(site: Site) -> None:
    demo = site.install("demo", {"demo/__init__.py": ""})
    site.put("envlock.pth", "import mine\n")
    found, gaps = read(site, demo)
    assert found is None
    assert reasons(gaps) == {"envlock.pth": "left out: has the name of envlock's own hook"}
