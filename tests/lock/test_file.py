from pathlib import Path

import pytest

from envlock.lock import file
from envlock.lock.model import Lock
from envlock.runtime.errors import InputError, UsageError


def test_a_lock_comes_back_from_the_file(lock: Lock, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "pylock.toml"
    file.write(path, lock)
    assert file.read(path) == lock
    assert [one.name for one in path.parent.iterdir()] == ["pylock.toml"]


@pytest.mark.parametrize("name", ["pylock.toml", "pylock.envlock.toml"])
def test_names_that_pip_and_uv_take_are_accepted(name: str) -> None:
    file.check_name(Path("somewhere") / name)


@pytest.mark.parametrize(
    "name", ["lock.toml", "pylock.a.b.toml", "pylock..toml", "pylock.toml.bak", "Pylock.toml"]
)
def test_other_names_are_refused_before_anything_is_written(lock: Lock, name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        file.write(tmp_path / name, lock)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_unreadable_lock_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such lockfile"):
        file.read(tmp_path / "pylock.toml")
    with pytest.raises(InputError, match="cannot read the lockfile"):
        file.read(tmp_path)


def test_a_file_far_larger_than_any_lock_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "pylock.toml"
    with path.open("wb") as stream:
        stream.truncate(file.LARGEST + 1)
    with pytest.raises(InputError, match="at most 16 MiB"):
        file.read(path)
    with path.open("wb") as stream:
        stream.truncate(file.LARGEST)
    with pytest.raises(InputError, match="TOML"):
        file.read(path)
