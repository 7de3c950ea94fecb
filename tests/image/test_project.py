"""A project's code as the last layer: what goes in, what never does, and what is refused."""

import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, cast

import pytest

from envlock.host.store import Store
from envlock.image import project, project_tree
from envlock.oci.inflation import inflated
from envlock.runtime.errors import InputError, IntegrityError

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


def fill(directory: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(directory: Path) -> list[str]:
    return [file.name for file in project_tree.read(directory).files]


def members(directory: Path, store: Store) -> dict[str, tarfile.TarInfo]:
    made = project.layer(project_tree.read(directory), store)
    with store.path(made.blob).open("rb") as stream:
        plain = cast("IO[bytes]", inflated(stream, "layer"))
        with tarfile.open(fileobj=plain, mode="r|") as archive:
            # Beside the project's own lies the layer's table of contents (eStargz).
            return {member.name: member for member in archive if member.name.startswith("work")}


def test_gitignore_files_count_each_in_its_directory_and_the_deeper_one_wins(tree: Path) -> None:
    fill(
        tree,
        {
            ".gitignore": "*.log\n/data/\n!keep.log\n",
            "train.py": "",
            "a.log": "",
            "keep.log": "",
            "data/big.bin": "",
            "src/data/small.txt": "",
            "src/.gitignore": "!b.log\n*.tmp\n",
            "src/b.log": "",
            "src/c.tmp": "",
        },
    )
    assert names(tree) == [
        ".gitignore",
        "keep.log",
        "src/.gitignore",
        "src/b.log",
        "src/data/small.txt",
        "train.py",
    ]


def test_envlockignore_has_the_last_word_and_stays_behind(tree: Path) -> None:
    fill(
        tree,
        {
            ".gitignore": "/weights/\n",
            ".envlockignore": "!/weights/\n*.ipynb\n",
            "weights/small.npz": "",
            "look.ipynb": "",
        },
    )
    assert names(tree) == [".gitignore", "weights/small.npz"]


def test_secrets_caches_and_version_control_never_travel_whatever_the_rules_say(tree: Path) -> None:
    never = {
        ".env": "TOKEN=1",
        "conf/.netrc": "machine",
        "deploy.pem": KEY,
        "id_ed25519": KEY,
        ".git/config": "",
        "src/__pycache__/a.pyc": "",
        "env/pyvenv.cfg": "",
        "env/bin/python": "",
        ".envlock/image/index.json": "",
        "pylock.envlock.toml": "",
    }
    kept = {"train.py": "", ".env.example": "TOKEN=", "public.pem": "-----BEGIN CERTIFICATE-----"}
    fill(tree, {**never, **kept, ".envlockignore": "".join(f"!{name}\n" for name in never)})
    assert names(tree) == [".env.example", "public.pem", "train.py"]


def test_the_layer_has_fixed_owners_modes_and_times_and_is_the_same_each_time(
    tree: Path, tmp_path: Path
) -> None:
    fill(tree, {"train.py": "print()\n", "bin/go.sh": "#!/bin/sh\n"})
    (tree / "bin/go.sh").chmod(0o4711)
    (tree / "train.py").chmod(0o600)
    found = members(tree, Store(tmp_path / "store"))
    assert {name: f"{member.mode:o}" for name, member in found.items()} == {
        "work": "1777",
        "work/bin": "755",
        "work/bin/go.sh": "755",
        "work/train.py": "644",
    }
    assert {(one.uid, one.gid, one.mtime) for one in found.values()} == {(0, 0, 315_619_200)}
    first = project.layer(project_tree.read(tree), Store(tmp_path / "store"))
    os.utime(tree / "train.py", (1, 1))
    (tree / "train.py").chmod(0o664)
    (tree / "empty").mkdir()
    assert project.layer(project_tree.read(tree), Store(tmp_path / "other")) == first


def test_the_digest_changes_with_a_name_a_mode_or_a_byte(tree: Path) -> None:
    fill(tree, {"a.py": "1\n"})
    digests = {project_tree.read(tree).digest}
    (tree / "a.py").chmod(0o755)
    digests.add(project_tree.read(tree).digest)
    (tree / "a.py").write_text("2\n")
    digests.add(project_tree.read(tree).digest)
    (tree / "a.py").rename(tree / "b.py")
    digests.add(project_tree.read(tree).digest)
    assert len(digests) == 4


def test_a_link_to_a_file_inside_becomes_that_file(tree: Path, tmp_path: Path) -> None:
    fill(tree, {"conf/base.yaml": "lr: 1\n"})
    (tree / "conf/default.yaml").symlink_to("base.yaml")
    found = members(tree, Store(tmp_path / "store"))
    assert found["work/conf/default.yaml"].isreg()
    assert found["work/conf/default.yaml"].size == len("lr: 1\n")


def test_links_that_lead_elsewhere_are_refused_all_at_once(tree: Path, tmp_path: Path) -> None:
    fill(tree, {"src/a.py": "", ".env": "TOKEN=1"})
    (tmp_path / "outside").write_text("mine")
    (tree / "out").symlink_to("../outside")
    (tree / "absolute").symlink_to(tmp_path / "outside")
    (tree / "again").symlink_to("src")
    (tree / "gone").symlink_to("nothing")
    (tree / "plain.txt").symlink_to(".env")
    os.mkfifo(tree / "pipe")
    with pytest.raises(InputError, match="can't be packed") as told:
        project_tree.read(tree)
    assert told.value.found == (
        "absolute is a link out of the tree; again is a link to a directory; gone is a link to nothing; "
        "out is a link out of the tree; pipe is no file and 1 more"
    )
    assert str(told.value.hint).endswith("in .envlockignore, as in a .gitignore")


def test_what_is_refused_may_be_ignored(tree: Path) -> None:
    fill(tree, {"a.py": "", ".envlockignore": "/gone\n"})
    (tree / "gone").symlink_to("nothing")
    assert names(tree) == ["a.py"]


def test_a_name_that_no_image_can_have_is_refused(tree: Path, tmp_path: Path) -> None:
    fill(tree, {"a\nb.py": ""})
    with pytest.raises(InputError, match="not a path inside an image"):
        project.layer(project_tree.read(tree), Store(tmp_path / "store"))


@pytest.mark.parametrize("text", ["changed", "longer than it was"])
def test_a_file_that_changes_meanwhile_is_told(tree: Path, tmp_path: Path, text: str) -> None:
    fill(tree, {"a.py": "as it was"})
    read = project_tree.read(tree)
    (tree / "a.py").write_text(text)
    with pytest.raises(IntegrityError, match="changed while it was packed"):
        project.layer(read, Store(tmp_path / "store"))


def test_too_much_is_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tree, {"a": "1234", "b": "5678"})
    with monkeypatch.context() as patched:
        patched.setattr(project_tree, "MOST_FILES", 1)
        with pytest.raises(InputError, match="at most 1 files"):
            project_tree.read(tree)
    monkeypatch.setattr(project_tree, "MOST_BYTES", 7)
    with pytest.raises(InputError, match="too large for a layer"):
        project_tree.read(tree)
