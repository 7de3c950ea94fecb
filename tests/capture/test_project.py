import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from envlock.capture import project
from envlock.lock.model import Project

ENVIRON = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


def git(directory: Path, *arguments: str) -> None:
    names = ["-c", "user.name=t", "-c", "user.email=t@index.example", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *names, *arguments], cwd=directory, check=True, env=ENVIRON, capture_output=True)


def read(directory: Path, environ: Mapping[str, str] = ENVIRON) -> Project:
    found, gaps = project.read(directory, environ)
    assert found is not None
    assert gaps == ()
    return found


@pytest.fixture
def work(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    git(directory, "init")
    (directory / "train.py").write_text("print(1)\n")
    (directory / "link").symlink_to("train.py")
    (directory / ".gitignore").write_text("data/\n")
    git(directory, "add", "-A")
    git(directory, "commit", "-m", "first")
    return directory


def test_clean_tree_has_a_commit_and_is_not_dirty(work: Path) -> None:
    found = read(work)
    assert found.commit is not None
    assert len(found.commit) == 40
    assert (found.dirty, found.remote) == (False, None)


def test_lockfile_and_ignored_files_change_nothing(work: Path, put: Callable[[Path, bytes], Path]) -> None:
    before = read(work)
    put(work / "pylock.envlock.toml", b"lock")
    put(work / "pylock.toml", b"lock")
    put(work / "data/big", b"data")
    assert read(work) == before


@pytest.mark.parametrize("change", ["edit", "add", "remove", "mode", "link"])
def test_each_change_makes_it_dirty_and_changes_the_tree(work: Path, change: str) -> None:
    before = read(work)
    if change == "edit":
        (work / "train.py").write_text("print(2)\n")
    elif change == "add":
        (work / "new.py").write_text("")
    elif change == "remove":
        (work / "train.py").unlink()
    elif change == "mode":
        (work / "train.py").chmod(0o755)
    else:
        (work / "link").unlink()
        (work / "link").symlink_to("other")
    after = read(work)
    assert after.dirty
    assert after.tree != before.tree
    assert after.commit == before.commit


def test_repository_without_a_commit(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert read(tmp_path).commit is None


def test_submodule_is_left_to_its_commit(work: Path, tmp_path: Path) -> None:
    inner = work / "inner"
    inner.mkdir()
    git(inner, "init")
    git(inner, "commit", "--allow-empty", "-m", "x")
    git(work, "add", "inner")
    assert read(work).tree is not None


@pytest.mark.parametrize(
    ("remote", "public"),
    [
        ("https://ann:secret@git.example/x.git", "https://git.example/x.git"),
        ("ann@git.example:x.git", "git.example:x.git"),
        ("git@git.example:x.git", "git@git.example:x.git"),
        ("/srv/git/x", None),
        ("file:///srv/git/x", None),
    ],
)
def test_remote_has_no_credentials_and_no_local_path(work: Path, remote: str, public: str | None) -> None:
    git(work, "remote", "add", "origin", remote)
    assert read(work).remote == public


def test_no_repository_and_no_git_are_gaps(tmp_path: Path) -> None:
    found, (gap,) = project.read(tmp_path, {**ENVIRON, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)})
    assert found is None
    assert "no git work tree" in gap.reason
    found, (gap,) = project.read(tmp_path, {"PATH": str(tmp_path)})
    assert found is None
    assert "not installed" in gap.reason


def test_a_merge_that_stopped_is_a_change_and_a_lockfile_with_a_blank_beside_it_is_none(
    work: Path, put: Callable[[Path, bytes], Path]
) -> None:
    put(work / "sub dir/pylock.my lock.toml", b"x")
    assert not read(work).dirty
    for branch, text in (("one", b"1"), ("other", b"2")):
        git(work, "checkout", "-b", branch, "HEAD" if branch == "one" else "one~1")
        (work / "train.py").write_bytes(text)
        git(work, "commit", "-am", branch)
    with pytest.raises(subprocess.CalledProcessError):
        git(work, "merge", "one")
    assert read(work).dirty
