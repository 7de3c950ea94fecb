import json
import os
import sys
from pathlib import Path

import pytest

from envlock.capture import contents, editable, eggs, import_hooks, python
from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import Gap
from tests.capture import sites
from tests.capture.simulators import put_file
from tests.capture.sites import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    path = tmp_path / "env/lib/python3.11/site-packages"
    path.mkdir(parents=True)
    return Site(path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for path in ("pyproject.toml", "src/demo/__init__.py", "src/demo/data.txt", "src/demo/.netrc"):
        put_file(root / path, b"")
    return root


def read(one: InstalledDistribution, *more: Path) -> tuple[InstalledDistribution, tuple[Gap, ...]]:
    return editable.read(one, sites.search(one.site, *more))


def test_a_path_file_leads_to_the_source(site: Site, project: Path) -> None:
    lines = f"# a comment\n\n{project}/src\n"
    one = site.install("demo", {"demo.pth": lines}, direct=sites.editable(project))
    found, gaps = read(one)
    assert sites.names(found) == ["demo/__init__.py", "demo/data.txt"]
    assert found.editable
    assert found.replaced == ("demo-1.0.dist-info/WHEEL", "demo.pth")
    assert found.tags == ()
    assert gaps == (Gap(subject="demo", reason="left out: demo/.netrc holds a secret"),)


def test_names_that_setuptools_states_are_the_ones_taken(site: Site, project: Path) -> None:
    put_file(project / "src/other/__init__.py", b"")
    files = {"demo.pth": f"{project}/src\n", "demo-1.0.dist-info/top_level.txt": "demo\n"}
    found, _ = read(site.install("demo", files, direct=sites.editable(project)))
    assert sites.names(found) == ["demo/__init__.py", "demo/data.txt"]


def test_what_an_earlier_directory_hides_is_not_imported_from_the_source(site: Site, project: Path) -> None:
    put_file(project / "src/six.py", b"other")
    site.put("six.py")
    one = site.install("demo", {"demo.pth": f"{project}/src\n"}, direct=sites.editable(project))
    assert "six.py" not in sites.names(read(one, project / "src")[0])
    (site.path / "six.py").unlink()
    assert "six.py" in sites.names(read(one, project / "src")[0])


def test_an_import_hook_of_setuptools_is_read_and_not_run(site: Site, project: Path) -> None:
    put_file(project / "single.py", b"")
    put_file(project / "space/part.py", b"")
    hook = (
        "raise SystemExit('run')\n"
        f"MAPPING: dict[str, str] = {{'demo': '{project}/src/demo', 'single': '{project}/single'}}\n"
        f"NAMESPACES = {{'space': ['{project}/space', '/absent']}}\n"
    )
    files = {"__editable__.demo.pth": "import __editable___finder; x()", "__editable___finder.py": hook}
    found, _ = read(site.install("demo", files, direct=sites.editable(project)))
    assert sites.names(found) == ["demo/__init__.py", "demo/data.txt", "single.py", "space/part.py"]
    assert found.replaced == (
        "__editable__.demo.pth",
        "__editable___finder.py",
        "demo-1.0.dist-info/WHEEL",
    )


def test_hooks_of_other_backends(tmp_path: Path, project: Path) -> None:
    package = project / "src/demo"
    editables = (
        f"F.map_module('demo', '{package}/__init__.py')\nF.map_module('a.mod', '{package}/__init__.py')\n"
    )
    scikit = (
        f"install({{'demo': '{package}/__init__.py', 'demo.x': '{package}/data.txt'}}, {{'demo._c': 'c'}})"
    )
    plan = {
        "python": {f"{package}/__init__.py": {"destination": "{py_purelib}/demo/__init__.py"}},
        "targets": {f"{project}/b/../b/c.so": {"destination": "{py_platlib}/demo/c.so"}},
        "data": {"/x": {"destination": "{datadir}/x"}},
    }
    put_file(project / "b/meson-info/intro-install_plan.json", json.dumps(plan).encode())
    meson = f"MesonpyMetaFinder('demo', {{'demo'}}, '{project}/b', ['ninja'], False)"
    texts = {"editables": editables, "scikit": scikit, "meson": meson}
    found = {
        name: import_hooks.read(put_file(tmp_path / f"{name}.py", text.encode()))
        for name, text in texts.items()
    }
    assert {name: hook.targets for name, hook in found.items() if hook is not None} == {
        "editables": (("demo", package), ("a/mod", package)),
        "scikit": (("demo", package), ("demo/data.txt", package / "data.txt")),
        "meson": (("demo/__init__.py", package / "__init__.py"), ("demo/c.so", project / "b/c.so")),
    }


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        "def (",
        "MAPPING = call()",
        "MAPPING = 3",
        "MesonpyMetaFinder('a', 'b', '/absent')",
        "F.map_module()",
        "install(1)",
        "\0",
    ],
)
def test_a_hook_of_no_known_kind_is_a_gap_that_names_its_file(site: Site, project: Path, text: str) -> None:
    files = {"demo.pth": "import demo_hook\n", "demo_hook.py": text}
    found, gaps = read(site.install("demo", files, direct=sites.editable(project)))
    assert (found.carried, gaps) == ((), ())
    assert found.obstacle == "left out: demo_hook.py is an import hook of no known kind"


def test_an_absurdly_large_hook_is_none(tmp_path: Path) -> None:
    hook = put_file(tmp_path / "hook.py", b"MAPPING = {}")
    os.truncate(hook, 1 << 30)
    assert import_hooks.read(hook) is None
    assert import_hooks.read(tmp_path / "absent.py") is None


def test_a_source_that_is_gone_is_a_gap_without_its_path(site: Site, tmp_path: Path) -> None:
    one = site.install("demo", {"demo.pth": f"{tmp_path}/gone\n"}, direct=sites.editable(tmp_path / "gone"))
    found, _ = read(one)
    assert found.obstacle is not None
    assert str(tmp_path) not in found.obstacle


def test_a_source_of_absurd_size_is_a_gap(site: Site, project: Path) -> None:
    os.truncate(project / "src/demo/data.txt", 1 << 40)
    one = site.install("demo", {"demo.pth": f"{project}/src\n"}, direct=sites.editable(project))
    assert "8 GiB" in str(read(one)[0].obstacle)


def test_a_link_of_flit_leads_to_the_source(site: Site, project: Path) -> None:
    (site.path / "demo").symlink_to(project / "src/demo")
    found, _ = read(site.install("demo", {}, direct=sites.editable(project)))
    assert sites.names(found) == ["demo/__init__.py", "demo/data.txt"]


def test_an_editable_install_that_brought_its_modules_is_what_record_lists(site: Site, project: Path) -> None:
    one = site.install("demo", {"demo/_c.so": ""}, direct=sites.editable(project))
    found, gaps = read(one)
    assert (found.editable, found.carried, found.obstacle, gaps) == (True, (), None, ())


def test_a_path_file_alone_makes_an_install_editable(site: Site, project: Path) -> None:
    assert editable.is_editable(site.install("demo", {"demo.pth": f"{project}/src\n"}))
    assert not editable.is_editable(site.install("other", {"other.pth": "import os\n", "other.py": ""}))
    nested = site.install("nested", {"deep/nested.pth": f"{project}\n"})
    assert not editable.is_editable(nested)


def test_the_project_is_found_around_its_source(site: Site, project: Path, tmp_path: Path) -> None:
    one = site.install("demo", {})
    assert editable.source_of(one, (project / "src",)) == project
    bare = tmp_path / "bare"
    bare.mkdir()
    assert editable.source_of(one, (bare,)) == bare
    assert editable.source_of(one) is None


def test_egg_info_in_a_source_directory_is_an_editable_install(tmp_path: Path) -> None:
    source = Site(tmp_path / "project")
    for path in ("setup.py", "demo/__init__.py", "other.py", "space/part.py"):
        source.put(path)
    one = source.egg("demo", {"top_level.txt": "demo\nspace\n", "entry_points.txt": "[console_scripts]\n"})
    found, gaps = eggs.read(one, sites.search(source.path))
    assert sites.names(found) == [
        "demo-1.0.dist-info/METADATA",
        "demo-1.0.dist-info/entry_points.txt",
        "demo/__init__.py",
        "space/part.py",
    ]
    assert (found.editable, found.dist_info, gaps) == (True, "demo-1.0.dist-info", ())
    unstated, _ = eggs.read(source.egg("demo", {"top_level.txt": ""}), sites.search(source.path))
    assert sites.names(unstated)[1:] == [
        "demo-1.0.dist-info/entry_points.txt",
        "demo/__init__.py",
        "other.py",
    ]


def test_an_egg_s_files_are_told_by_its_lists(site: Site) -> None:
    for path in (
        "demo/__init__.py",
        "demo/sub/data.txt",
        "extra.py",
        "extra.txt",
        "foreign.py",
        "space/part.py",
    ):
        site.put(path)
    (site.path / "demo/link").symlink_to("/etc/hostname")
    one = site.egg("demo", {"top_level.txt": "demo\nextra\nspace\n../env\n\n"})
    found, (gap,) = eggs.read(one, sites.search(site.path))
    files = ["demo/__init__.py", "demo/sub/data.txt", "extra.py"]
    assert sites.names(found) == ["demo-1.0.dist-info/METADATA", *files]
    assert not found.editable
    assert gap.reason == "left out: demo/link is a link that leads out of the source directory"
    lines = ["../demo/__init__.py", "../../../../bin/demo", "PKG-INFO", "../gone.py", "/etc/hostname"]
    listed, _ = eggs.read(site.egg("demo", {"installed-files.txt": "\n".join(lines)}), sites.search())
    assert sites.names(listed) == ["demo-1.0.dist-info/METADATA", "demo/__init__.py"]


def test_an_egg_that_nothing_tells_of_stays_as_it_is(site: Site) -> None:
    one = site.egg("demo", {})
    assert eggs.read(one, sites.search()) == (one, ())
    site.put("single-1.0.egg-info", "Name: single")
    assert not eggs.is_egg(site.described("single", "1.0", "single-1.0.egg-info"))


def test_an_egg_of_absurd_size_is_a_gap(site: Site) -> None:
    site.put("demo/__init__.py")
    os.truncate(site.put("demo/large"), 1 << 40)
    found, _ = eggs.read(site.egg("demo", {"top_level.txt": "demo"}), sites.search())
    assert "8 GiB" in str(found.obstacle)


def test_shared_libraries_of_sources_are_looked_at_too(site: Site, project: Path) -> None:
    put_file(project / "src/demo/_c.so", b"")
    hook = f"MAPPING = {{'demo': '{project}/src/demo'}}\n"
    files = {"demo.pth": "import demo_finder\n", "demo_finder.py": hook}
    found, _ = read(site.install("demo", files, direct=sites.editable(project)))
    here = python.ask(Path(sys.executable), os.environ)
    assert contents.library_directories((found,), here) == (project / "src/demo",)
