from pathlib import Path

import pytest

from envlock.engines.user import User, resolve
from envlock.runtime.errors import InputError

USERS = "root:x:0:5:root:/root:/bin/sh\nworker:x:1000:1001::/:/bin/sh\nodd:x:7:none::/:/\nbroken line\n"
GROUP = "root:x:0:\nstaff:x:50:worker\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text(USERS)
    (tmp_path / "etc" / "group").write_text(GROUP)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("", User(0, 5)),
        ("0", User(0, 5)),
        ("worker", User(1000, 1001)),
        ("1000", User(1000, 1001)),
        ("4321", User(4321, 0)),
        ("worker:staff", User(1000, 50)),
        ("12:34", User(12, 34)),
        ("odd", User(7, 0)),
    ],
)
def test_names_and_numbers_are_resolved_in_the_image(root: Path, text: str, user: User) -> None:
    assert resolve(text, root) == user


@pytest.mark.parametrize("text", ["nobody", "worker:nogroup"])
def test_a_name_that_is_not_there_is_refused(root: Path, text: str) -> None:
    with pytest.raises(InputError, match="no such user in the image"):
        resolve(text, root)


def test_the_hosts_users_are_never_read_through_a_link(root: Path, tmp_path: Path) -> None:
    (root / "etc" / "passwd").unlink()
    (root / "etc" / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(InputError):
        resolve("root", root)


def test_a_passwd_that_is_no_file_holds_no_users(root: Path) -> None:
    (root / "etc" / "passwd").unlink()
    (root / "etc" / "passwd").mkdir()
    assert resolve("5", root) == User(5, 0)
