import os
from pathlib import Path

import pytest

from envlock.capture import source_tree
from envlock.capture.confidential import is_confidential
from envlock.capture.source_tree import Collected, TooMuchError
from tests.capture.simulators import put_file
from tests.ordinary_user import ordinary_user


def tree(root: Path, *paths: str) -> Path:
    for path in paths:
        put_file(root / path, b"")
    return root


def collected(path: Path, inside: Path | None = None) -> Collected:
    found = Collected()
    source_tree.collect(path, path.name, inside or path, found)
    return found


def test_a_package_comes_whole_but_for_what_is_no_part_of_it(tmp_path: Path) -> None:
    package = tree(
        tmp_path / "demo",
        "__init__.py",
        "data.txt",
        "_c.cpython-311-x86_64-linux-gnu.so",
        "build/part.py",
        "sourceless.pyc",
        "__init__.pyc",
        "__pycache__/x.pyc",
        ".git/config",
        "old.egg-info/PKG-INFO",
        "env/pyvenv.cfg",
        "env/lib/x.py",
        "notes.txt~",
        ".env",
    )
    found = collected(package)
    assert sorted(found.files) == [
        "demo/__init__.py",
        "demo/_c.cpython-311-x86_64-linux-gnu.so",
        "demo/build/part.py",
        "demo/data.txt",
        "demo/sourceless.pyc",
    ]
    assert found.refused == [("demo/.env", "holds a secret")]


def test_links_stay_in_the_source_directory(tmp_path: Path) -> None:
    outside = put_file(tmp_path / "secret.txt", b"")
    project = tree(tmp_path / "project", "demo/__init__.py", "shared/data.txt")
    package = project / "demo"
    (package / "out.txt").symlink_to(outside)
    (package / "shared").symlink_to(project / "shared")
    (package / "loop").symlink_to(package)
    (package / "gone").symlink_to(tmp_path / "absent")
    found = collected(package, project)
    assert sorted(found.files) == ["demo/__init__.py", "demo/shared/data.txt"]
    assert found.refused == [
        ("demo/gone", "is a link to nothing"),
        ("demo/loop", "is a link that leads in a circle"),
        ("demo/out.txt", "is a link that leads out of the source directory"),
    ]
    (gap, *_) = source_tree.gaps("demo", found)
    assert gap.reason == "left out: demo/gone is a link to nothing"


def test_names_that_no_wheel_can_hold_are_told_as_text(tmp_path: Path) -> None:
    package = tree(tmp_path / "demo", "__init__.py")
    for name in (b"new\nline", b"back\\slash", b"\xff"):
        put_file(Path(os.fsdecode(os.fsencode(package) + b"/" + name)), b"")
    found = collected(package)
    assert list(found.files) == ["demo/__init__.py"]
    assert {reason for _, reason in found.refused} == {"has a name that no wheel can hold"}
    assert all(name.isprintable() for name, _ in found.refused)


def test_what_cannot_be_read_is_told(public_directory: Path) -> None:
    package = tree(public_directory / "demo", "__init__.py", "closed.py", "inner/x.py")
    (package / "closed.py").chmod(0)
    (package / "inner").chmod(0)
    with ordinary_user():
        found = collected(package)
    (package / "inner").chmod(0o755)
    assert list(found.files) == ["demo/__init__.py"]
    assert found.refused == [("demo/closed.py", "can't be read"), ("demo/inner", "can't be read")]


def test_pipes_are_passed_over_and_depth_has_an_end(tmp_path: Path) -> None:
    package = tree(tmp_path / "demo", "__init__.py", "/".join(["d"] * 110) + "/x.py")
    os.mkfifo(package / "pipe")
    found = collected(package)
    assert list(found.files) == ["demo/__init__.py"]
    assert [reason for _, reason in found.refused] == ["lies too deep"]


def test_a_tree_of_absurd_size_is_refused(tmp_path: Path) -> None:
    package = tree(tmp_path / "demo", "__init__.py")
    large = put_file(package / "large.bin", b"")
    os.truncate(large, source_tree.MOST_BYTES + 1)
    with pytest.raises(TooMuchError, match="8 GiB"):
        collected(package)


def test_top_level_of_a_source_directory(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "src",
        "demo/__init__.py",
        "space/part/mod.py",
        "single.py",
        "data/table.csv",
        "no-name/x.py",
        "demo.egg-info/PKG-INFO",
        ".hidden/x.py",
    )
    assert [path.name for path in source_tree.top_level(root)] == ["demo", "single.py", "space"]


def test_top_level_of_a_project_leaves_out_what_lies_beside_packages(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "project",
        "pyproject.toml",
        "setup.py",
        "conftest.py",
        "demo/__init__.py",
        "google/cloud/part/__init__.py",
        "docs/conf.py",
        "build/lib/demo/__init__.py",
        "tests/__init__.py",
        "env/pyvenv.cfg",
        "env/lib/__init__.py",
    )
    assert [path.name for path in source_tree.top_level(root)] == ["demo", "google", "tests"]


def test_named_modules_are_found_whatever_they_are(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "src", "a/x.txt", "b.py", "c.cpython-311-x86_64-linux-gnu.so", "a.egg-info/x", "d.py"
    )
    found = source_tree.named(root, {"a", "b", "c", "absent"})
    assert [path.name for path in found] == ["a", "b.py", "c.cpython-311-x86_64-linux-gnu.so"]
    assert list(source_tree.named(tmp_path / "absent", {"a"})) == []


@pytest.mark.parametrize(
    ("name", "data", "secret"),
    [
        (".env", b"", True),
        (".env.local", b"", True),
        (".env.example", b"", False),
        ("id_ed25519", b"", True),
        ("store.p12", b"", True),
        ("cacert.pem", b"-----BEGIN CERTIFICATE-----", False),
        ("server.pem", b"-----BEGIN RSA PRIVATE KEY-----", True),
        ("module.py", b"PRIVATE KEY", False),
    ],
)
def test_secrets_are_known_by_name_or_by_what_a_key_begins_with(
    tmp_path: Path,
    name: str,
    data: bytes,
    secret: bool,  # noqa: FBT001 (a column of the table)
) -> None:
    assert is_confidential(put_file(tmp_path / name, data)) is secret
    assert not is_confidential(tmp_path / "absent.pem")
