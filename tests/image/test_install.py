import posixpath
import sys
from pathlib import Path

import installer
import pytest
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile as InstallerWheel

from envlock.image.install import InstalledFile, install
from envlock.image.record import parse_record
from envlock.image.wheel import open_wheel, read_contents
from envlock.runtime.errors import InputError
from tests.image.wheels import Item, wheel_items, write_wheel

SITE = "/opt/env/lib/python3.11/site-packages"


def installed(directory: Path, items: list[Item]) -> dict[str, InstalledFile]:
    path = write_wheel(directory, items)
    with open_wheel(path, path.name) as reader:
        return {file.path.text: file for file in install(read_contents(reader), minor="3.11")}


FILES = {
    "demo/__init__.py": b"x = 1\n",
    "demo/tool": b"\x7fELF",
    "demo-1.0.data/scripts/plain": b"#!/bin/sh\n",
    "demo-1.0.data/scripts/rewritten": b"#!python -E\nimport demo\n",
    "demo-1.0.data/scripts/windowed": b"#!pythonw\nimport demo\n",
    "demo-1.0.data/headers/demo.h": b"int x;\n",
    "demo-1.0.data/data/share/man/demo.1": b".TH\n",
    "demo-1.0.data/platlib/demo_native.so": b"\x7fELF",
    "demo-1.0.data/purelib/demo_pure.py": b"y = 2\n",
}
POINTS = (
    "[console_scripts]\ncmd = demo.cli:main.run [extra]\n[gui_scripts]\ngui = demo:show\n[other]\na = b\n"
)


def test_every_scheme_goes_where_installer_puts_it(tmp_path: Path) -> None:
    """``installer``, the reference implementation, is the judge of paths, modes and contents."""
    items = wheel_items(files=FILES, executable=("demo/tool",), entry_points=POINTS)
    root = tmp_path / "root"
    site = f"{root}{SITE}"
    schemes = {
        "purelib": site,
        "platlib": site,
        "headers": f"{root}/opt/env/include/site/python3.11/demo",
        "scripts": f"{root}/opt/env/bin",
        "data": f"{root}/opt/env",
    }
    destination = SchemeDictionaryDestination(schemes, interpreter="/opt/env/bin/python", script_kind="posix")
    with InstallerWheel.open(write_wheel(tmp_path, items)) as source:
        installer.install(source, destination, {"INSTALLER": b"envlock\n"})
    theirs = {"/" + str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    ours = installed(tmp_path, items)
    assert set(ours) == set(theirs)
    made = {f"/opt/env/bin/{name}" for name in ("cmd", "gui")} | {f"{SITE}/demo-1.0.dist-info/RECORD"}
    contents = {item.name: item.data for item in items}
    for path, file in ours.items():
        if path not in made:
            data = file.source if isinstance(file.source, bytes) else contents[file.source]
            assert data == theirs[path].read_bytes(), path
    record = {
        posixpath.normpath(line.split(",")[0])
        for line in theirs[f"{SITE}/demo-1.0.dist-info/RECORD"].read_text().splitlines()
    }
    own = ours[f"{SITE}/demo-1.0.dist-info/RECORD"].source
    assert isinstance(own, bytes)
    assert {line.split(",")[0] for line in own.decode().splitlines()} == record


def test_scripts_and_executable_files_are_0755_and_the_rest_0644(tmp_path: Path) -> None:
    found = installed(tmp_path, wheel_items(files=FILES, executable=("demo/tool",), entry_points=POINTS))
    executable = {path for path, file in found.items() if file.mode == 0o755}
    assert executable == {f"{SITE}/demo/tool"} | {
        f"/opt/env/bin/{name}" for name in ("plain", "rewritten", "windowed", "cmd", "gui")
    }
    assert {file.mode for file in found.values()} == {0o644, 0o755}


def test_a_launcher_runs_its_entry_point_with_the_environments_interpreter(tmp_path: Path) -> None:
    found = installed(tmp_path, wheel_items(entry_points="[console_scripts]\nCmd = pkg.mod:obj.attr\n"))
    source = found["/opt/env/bin/Cmd"].source
    assert isinstance(source, bytes)
    assert source.startswith(b"#!/opt/env/bin/python\n")
    module = "class obj:\n    def attr():\n        return [*sys.argv]\n"
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "mod.py").write_text("import sys\n" + module)
    before, argv = sys.path[:], sys.argv
    try:
        sys.path.insert(0, str(tmp_path))
        sys.argv = ["/bin/cmd.exe", "a"]
        with pytest.raises(SystemExit) as caught:
            exec(compile(source, "Cmd", "exec"), {"__name__": "__main__"})  # noqa: S102 # the launcher under test
    finally:
        sys.path[:], sys.argv = before, argv
    assert str(caught.value.code) == "['/bin/cmd', 'a']"


def test_record_lists_what_is_installed_with_its_new_hashes(tmp_path: Path) -> None:
    found = installed(tmp_path, wheel_items(files=FILES, entry_points=POINTS))
    record = found[f"{SITE}/demo-1.0.dist-info/RECORD"].source
    assert isinstance(record, bytes)
    rows = parse_record(record.decode(), "RECORD")
    assert str(rows["../../../bin/rewritten"]) == str(found["/opt/env/bin/rewritten"].recorded)
    assert "demo-1.0.dist-info/INSTALLER" in rows
    assert len(rows) == len(found) - 1


def test_bytecode_signatures_and_the_wheels_own_installer_are_left_out(tmp_path: Path) -> None:
    files = {
        "demo/__init__.py": b"",
        "demo/__pycache__/x.pyc": b"p",
        "demo-1.0.dist-info/RECORD.jws": b"{}",
        "demo-1.0.dist-info/INSTALLER": b"pip\n",
    }
    found = installed(tmp_path, wheel_items(files=files))
    assert not any("__pycache__" in path or path.endswith(".jws") for path in found)
    assert found[f"{SITE}/demo-1.0.dist-info/INSTALLER"].source == b"envlock\n"


@pytest.mark.parametrize(
    "name",
    [
        "demo-1.0.data/scripts/python",
        "demo-1.0.data/scripts/python3",
        "demo-1.0.data/scripts/python3.11",
        "demo-1.0.data/scripts/python3.13t",
        "demo-1.0.data/scripts/pythonw",
        "demo-1.0.data/scripts/python3-config",
        "demo-1.0.data/data/bin/python",
        "demo-1.0.data/data/pyvenv.cfg",
        "demo-1.0.data/data/bin",
        "envlock.pth",
        "demo-1.0.data/data/lib/python3.11/site-packages/envlock.pth",
    ],
)
def test_nothing_takes_the_place_of_the_interpreter_or_of_envlock(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="refused to install"):
        installed(tmp_path, wheel_items(files={name: b"evil"}))


def test_a_script_that_only_begins_like_an_interpreter_is_installed(tmp_path: Path) -> None:
    name = "python-argcomplete-check-easy-install-script"
    assert f"/opt/env/bin/{name}" in installed(
        tmp_path, wheel_items(files={f"demo-1.0.data/scripts/{name}": b"x"})
    )


@pytest.mark.parametrize("name", ["demo-1.0.data/elsewhere/x", "demo-1.0.data/x"])
def test_an_unknown_place_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="unknown place"):
        installed(tmp_path, wheel_items(files={name: b""}))


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("[console_scripts]\nx = demo\n", "not an entry point"),
        ("[console_scripts]\nx = demo:a; import os\n", "not an entry point"),
        ("[console_scripts]\n../x = demo:a\n", "not a command's name"),
        ("[console_scripts]\npython3 = demo:a\n", "refused to install"),
        ("no section\n", "not an entry points file"),
    ],
)
def test_a_malformed_entry_point_is_refused(tmp_path: Path, points: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        installed(tmp_path, wheel_items(entry_points=points))


def test_a_path_that_one_wheel_installs_twice_is_refused(tmp_path: Path) -> None:
    files = {"demo/a.py": b"1", "demo-1.0.data/platlib/demo/a.py": b"2"}
    with pytest.raises(InputError, match="installs a path twice"):
        installed(tmp_path, wheel_items(files=files))
