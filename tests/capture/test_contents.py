"""All kinds of distributions in one real virtual environment, and where their sources stand."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.capture import contents, origin, packages_dpkg, python
from envlock.capture.packages import Unmanaged
from envlock.capture.python import Interpreter
from envlock.lock.environment import DirectUrl
from tests.capture import sites
from tests.capture.simulators import DpkgSimulator, put_file
from tests.capture.sites import Site

GIT = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@git.example",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@git.example",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git repository with a remote that has a password in its URL."""
    root = tmp_path / "project"
    for path in ("pyproject.toml", "src/demo/__init__.py"):
        put_file(root / path, b"")
    for arguments in (
        ("init", "-q"),
        ("remote", "add", "origin", "https://ann:secret@git.example/demo"),
        ("add", "-A"),
        ("commit", "-qm", "first"),
    ):
        subprocess.run(["git", "-C", str(root), *arguments], env=GIT, check=True)
    return root


@pytest.fixture
def site(tmp_path: Path) -> Site:
    path = tmp_path / "env/lib/python3.11/site-packages"
    path.mkdir(parents=True)
    return Site(path)


def interpreter(*path: Path) -> Interpreter:
    return replace(python.ask(Path(sys.executable), os.environ), path=path)


def test_facts_of_a_source_directory_name_no_password_and_no_path(project: Path, tmp_path: Path) -> None:
    facts = dict(origin.read(project, GIT))
    assert facts.keys() == {"vcs", "commit", "dirty", "tree", "url"}
    assert (facts["vcs"], facts["dirty"], facts["url"]) == ("git", "false", "https://git.example/demo")
    put_file(project / "src/demo/new.py", b"")
    assert dict(origin.read(project, GIT))["dirty"] == "true"
    assert not any(str(tmp_path) in value for value in facts.values())
    assert origin.read(tmp_path, GIT) == ()


def test_every_kind_gets_its_files_and_its_origin(site: Site, project: Path) -> None:
    local = DirectUrl(kind="directory", url=f"file://{project}", local=project)
    gone = DirectUrl(kind="directory", url="file:///gone", local=Path("/gone"))
    site.put("egg.py")
    source = Site(project.parent / "develop")
    source.put("legacy/__init__.py")
    source.put("setup.py")
    site.put("loose.py")
    site.put("nothing-1.0.egg-info", "Name: nothing")
    given = (
        site.egg("egg", {"top_level.txt": "egg"}),
        site.install("edit", {"edit.pth": f"{project}/src\n"}, direct=sites.editable(project)),
        site.install("gone", {"gone.py": ""}, direct=gone),
        source.egg("legacy", {"top_level.txt": "legacy"}),
        site.install("local", {"local.py": ""}, direct=local),
        site.described("nothing", "1.0", "nothing-1.0.egg-info"),
        site.install("plain", {"plain.py": ""}),
    )
    here = interpreter(site.path, project / "src", source.path)
    found, gaps = contents.complete(given, here, Unmanaged(), GIT)
    by_name = {one.name: one for one in found}
    assert list(by_name) == sorted(by_name)
    assert sites.names(by_name["edit"]) == ["demo/__init__.py"]
    assert dict(by_name["edit"].origin)["dirty"] == "false"
    assert dict(by_name["local"].origin)["url"] == "https://git.example/demo"
    assert by_name["gone"] == given[2]
    assert by_name["plain"] == given[-1]
    assert sites.names(by_name["legacy"]) == ["legacy-1.0.dist-info/METADATA", "legacy/__init__.py"]
    assert sites.names(by_name["egg"]) == ["egg-1.0.dist-info/METADATA", "egg.py"]
    assert sites.names(by_name["envlock-orphans"]) == ["loose.py"]
    assert by_name["nothing"] == given[5]
    assert [gap for gap in gaps if not gap.harmless] == []


def test_an_editable_install_by_a_hook_hides_no_orphans(site: Site, project: Path) -> None:
    """It puts no directory on sys.path, so the one that it lies in is searched as ever."""
    files = {
        "edit.pth": "import edit_finder; edit_finder.install()\n",
        "edit_finder.py": f"MAPPING = {{'demo': '{project}/src/demo'}}\nNAMESPACES = {{}}\n",
    }
    edit = site.install("edit", files, direct=sites.editable(project))
    site.put("loose.py")
    found, _ = contents.complete((edit,), interpreter(site.path), Unmanaged(), GIT)
    assert {one.name: sites.names(one) for one in found} == {
        "edit": ["demo/__init__.py"],
        "envlock-orphans": ["loose.py"],
    }


def test_what_the_os_installed_is_told_by_its_database(
    site: Site, dpkg: DpkgSimulator, tmp_path: Path
) -> None:
    one = site.install("demo", {"demo.py": ""}, recorded=False)
    dpkg.install("python3-demo", {f"{site.path}/demo.py": b"", f"{site.path}/{one.dist_info}/METADATA": None})
    database = packages_dpkg.load(tmp_path)
    assert database is not None
    (found,), gaps = contents.complete((one,), interpreter(site.path), database, GIT)
    assert (found.origin, gaps) == ((("package", "python3-demo 1.0-1"),), ())


def test_the_probe_sees_packages_on_pythonpath_and_imports_nothing_from_it(tmp_path: Path) -> None:
    packages, loose = Site(tmp_path / "packages"), Site(tmp_path / "loose")
    packages.install("demo", {})
    loose.put("json.py", "raise SystemExit('not the standard library')")
    environ = {**os.environ, "PYTHONPATH": f"{packages.path}{os.pathsep}{loose.path}"}
    found = python.ask(Path(sys.executable), environ)
    assert found.path[0] == packages.path
    assert loose.path not in found.path
    assert "demo-1.0.dist-info" in {facts["name"] for facts in found.distributions}


def test_the_user_s_own_site_is_seen_unless_it_is_switched_off(tmp_path: Path) -> None:
    base = Path(os.path.realpath(sys.executable))
    environ = {**os.environ, "PYTHONUSERBASE": str(tmp_path)}
    minor = ".".join(map(str, sys.version_info[:2]))
    user = Site(tmp_path / f"lib/python{minor}/site-packages")
    user.install("demo", {})
    assert user.path in python.ask(base, environ).path
    assert user.path not in python.ask(base, {**environ, "PYTHONNOUSERSITE": "1"}).path
