import errno
import os
from pathlib import Path

import pytest

from envlock.core.digest import Digest
from envlock.host import files
from envlock.runtime.errors import EnvlockError, InputError, UnreachableError


def _listing(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_write_that_ends_well_appears_whole(tmp_path: Path) -> None:
    with files.atomic_write(tmp_path / "deep" / "file", mode=0o755) as stream:
        stream.write(b"content")
        assert not (tmp_path / "deep" / "file").exists()
    assert (tmp_path / "deep" / "file").read_bytes() == b"content"
    assert (tmp_path / "deep" / "file").stat().st_mode & 0o777 == 0o755
    assert _listing(tmp_path / "deep") == ["file"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no"), InputError("bad")])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def attempt() -> None:
        with files.atomic_write(target) as stream:
            stream.write(b"new")
            raise error

    with pytest.raises(type(error)):
        attempt()
    assert target.read_bytes() == b"old"
    assert _listing(tmp_path) == ["file"]


def _failing_write(target: Path, number: int) -> None:
    with files.atomic_write(target):
        raise OSError(number, os.strerror(number))


def test_a_full_disk_is_told_with_the_place_and_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError) as caught:
        _failing_write(tmp_path / "file", errno.ENOSPC)
    assert "no space left on the disk" in str(caught.value)
    assert str(tmp_path / "file") in str(caught.value)
    assert caught.value.hint
    assert _listing(tmp_path) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with pytest.raises(EnvlockError, match="cannot write"):
        _failing_write(tmp_path / "plain" / "below", errno.EACCES)


def test_an_error_that_is_no_refusal_of_the_place_passes(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        _failing_write(tmp_path / "file", errno.EIO)


def test_a_directory_is_replaced_at_once(tmp_path: Path) -> None:
    target = tmp_path / "tree"
    for content in ("old", "new"):
        with files.atomic_directory(target) as part:
            (part / content).write_text(content)
    assert _listing(target) == ["new"]
    assert _listing(tmp_path) == ["tree"]


def test_a_directory_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "tree"
    target.mkdir()
    (target / "old").write_text("")

    def attempt() -> None:
        with files.atomic_directory(target) as part:
            (part / "new").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt()
    assert _listing(target) == ["old"]
    assert _listing(tmp_path) == ["tree"]


def test_a_scratch_directory_is_gone_afterwards_unwritable_parts_included(tmp_path: Path) -> None:
    with files.scratch_directory(tmp_path) as scratch:
        locked = scratch / "locked"
        locked.mkdir()
        (locked / "file").write_text("")
        locked.chmod(0o500)
    assert _listing(tmp_path) == []


def test_removing_what_is_a_link_removes_the_link_only(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    files.remove_tree(tmp_path / "link")
    files.remove_tree(tmp_path / "absent")
    assert _listing(tmp_path) == ["kept"]


def test_a_files_digest_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = b"x" * (files.CHUNK + 1)
    (tmp_path / "file").write_bytes(data)
    assert files.file_digest(tmp_path / "file") == Digest.of(data)


@pytest.mark.parametrize("size", [0, 1, files.CHUNK + 1])
def test_a_copy_has_all_bytes(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as source, files.atomic_write(tmp_path / "copy") as target:
        files.copy(source, target)
    assert (tmp_path / "copy").read_bytes() == data


def test_a_copy_begins_where_the_target_stands(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with files.atomic_write(tmp_path / "copy") as target:
        target.write(b"before, ")
        with (tmp_path / "file").open("rb") as source:
            files.copy(source, target)
        target.write(b", after")
    assert (tmp_path / "copy").read_bytes() == b"before, content, after"


def test_what_the_kernel_does_not_copy_is_copied_all_the_same(tmp_path: Path) -> None:
    """Files of /proc say that they are empty, and the kernel copies as much of them."""
    with Path("/proc/version").open("rb") as source, files.atomic_write(tmp_path / "copy") as target:
        files.copy(source, target)
    assert (tmp_path / "copy").read_bytes() == Path("/proc/version").read_bytes()


def test_a_write_that_need_not_last_appears_whole_all_the_same(tmp_path: Path) -> None:
    with files.atomic_write(tmp_path / "file", durable=False) as stream:
        stream.write(b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
