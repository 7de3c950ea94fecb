import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.host.store import Store
from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import Package
from tests.wheels.conftest import Environment, Locate, wheel


@pytest.fixture
def egg(environment: Environment) -> InstalledDistribution:
    """An egg-info directory as setuptools leaves it, and a module of somebody else."""
    installed = environment.install(
        wheel("demo", "1.0", {"demo/__init__.py": b"x", "demo/sub/data.txt": b"d"})
    )
    site = environment.site
    for one in (site / "demo-1.0.dist-info").iterdir():
        one.unlink()
    (site / "demo-1.0.dist-info").rmdir()
    place = site / "Demo-1.0-py3.11.egg-info"
    place.mkdir()
    (place / "PKG-INFO").write_text("Metadata-Version: 1.2\nName: Demo\nVersion: 1.0\n")
    (place / "entry_points.txt").write_text("[console_scripts]\ndemo = demo:main\n")
    (site / "extra.py").write_text("extra")
    (site / "extra.txt").write_text("no module")
    (site / "foreign.py").write_text("foreign")
    return replace(installed, dist_info=place.name, record=(), tags=())


def packed(package: Package, store: Store) -> dict[str, bytes]:
    with zipfile.ZipFile(store.path(package.wheel.sha256)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_an_egg_s_import_names_tell_its_files(
    egg: InstalledDistribution, find: Locate, store: Store, tmp_path: Path
) -> None:
    (egg.site / egg.dist_info / "top_level.txt").write_text("demo\nextra\n../env\n\n")
    (package,) = find(egg).packages
    assert package.wheel.name == "demo-1.0-py3-none-any.whl"
    found = packed(package, store)
    assert set(found) == {
        "demo/__init__.py",
        "demo/sub/data.txt",
        "extra.py",
        "demo-1.0.dist-info/METADATA",
        "demo-1.0.dist-info/RECORD",
        "demo-1.0.dist-info/WHEEL",
        "demo-1.0.dist-info/entry_points.txt",
    }
    again = Environment(tmp_path / "again").install(
        (package.wheel.name, store.path(package.wheel.sha256).read_bytes())
    )
    assert "../../../bin/demo" in {entry.path for entry in again.record}


def test_an_egg_s_list_of_installed_files_is_believed_where_it_stands(
    egg: InstalledDistribution, find: Locate, store: Store
) -> None:
    lines = ["../demo/__init__.py", "../../../../bin/demo", "PKG-INFO", "../gone.py", "/etc/hostname"]
    (egg.site / egg.dist_info / "installed-files.txt").write_text("\n".join(lines))
    (package,) = find(egg).packages
    assert "demo/__init__.py" in packed(package, store)
    assert "demo/sub/data.txt" not in packed(package, store)


def test_a_namespace_package_or_nothing_at_all_is_not_guessed_at(
    egg: InstalledDistribution, find: Locate
) -> None:
    (egg.site / "demo/__init__.py").unlink()
    (egg.site / egg.dist_info / "top_level.txt").write_text("demo\n")
    located = find(egg)
    assert located.packages == ()
    assert [gap.subject for gap in located.gaps] == ["demo"]
    (egg.site / egg.dist_info / "top_level.txt").unlink()
    assert find(egg) == located
    alone = replace(egg, dist_info="single-1.0.egg-info")
    (egg.site / alone.dist_info).write_text("Name: demo")
    assert find(alone) == located
