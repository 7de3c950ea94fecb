from pathlib import Path

import pytest

from envlock.host.rooted import located


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "root"
    (directory / "usr/lib").mkdir(parents=True)
    (directory / "usr/lib/file").write_text("inside")
    (tmp_path / "secret").write_text("outside")
    return directory


def test_an_absolute_link_means_a_file_of_the_root(root: Path) -> None:
    (root / "lib").symlink_to("/usr/lib")
    assert located(root, "/lib/file").read_text() == "inside"
    assert located(root, "//lib/./file") == root / "usr/lib/file"


def test_a_link_at_the_end_can_be_read_itself(root: Path) -> None:
    (root / "lib").symlink_to("/usr/lib")
    (root / "usr/lib/link").symlink_to("file")
    assert located(root, "/lib/link", follow=False) == root / "usr/lib/link"
    assert located(root, "/lib/link") == root / "usr/lib/file"


@pytest.mark.parametrize("target", ["../../../secret", "/../secret", "here/../../../secret"])
def test_no_link_leads_out_of_the_root(root: Path, tmp_path: Path, target: str) -> None:
    (root / "usr/lib/here").symlink_to("..")
    (root / "usr/lib/out").symlink_to(target)
    assert located(root, "/usr/lib/out") == root / "secret"
    (root / "elsewhere").symlink_to(tmp_path)
    assert not located(root, "/elsewhere/secret").exists()
    assert located(root, "/../secret") == root / "secret"


def test_links_in_a_circle_lead_to_nothing(root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    assert not located(root, "/one/file").exists()


def test_the_machines_own_root_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert located(Path("/"), tmp_path / "link") == tmp_path / "link"
