"""``envlock image-diff`` on archives: what it prints, and how it ends."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from envlock.cli import main
from envlock.oci import archive
from envlock.oci.layer import Entry
from tests.oci.images import Builder, file

SITE = "/opt/env/lib/python3.11/site-packages"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    builder = Builder(tmp_path / "store")

    def write(name: str, *entries: Entry) -> str:
        path = tmp_path / f"{name}.tar"
        archive.write(builder.image(builder.layer(*entries)), builder.store.path, path, None)
        return f"oci-archive:{path}"

    return write


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main.main(["image-diff", *arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_an_image_and_itself_are_identical(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    image = write("one", file("/a", b"1"))
    assert ended(image, image) == 0
    assert capsys.readouterr().out == "identical\n"


def test_files_of_packages_are_counted_and_others_named(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    record = file(f"{SITE}/demo-1.0.dist-info/RECORD", b"demo/a.py,,\ndemo/b.py,,\n")
    before = write("before", record, file(f"{SITE}/demo/a.py", b"1"), file("/etc/[bold]", b"1"))
    after = write("after", record, file(f"{SITE}/demo/a.py", b"2"), file(f"{SITE}/demo/b.py", b"2"))
    assert ended(before, after) == 1
    printed = capsys.readouterr().out
    assert "different" in printed
    assert " \n" not in printed
    assert "  demo: 1 changed, 1 added\n" in printed
    assert "  /etc/[bold]: removed\n" in printed
    assert ended("--all", "-q", before, after) == 1
    assert capsys.readouterr().out == ""
    assert ended("--all", before, after) == 1
    assert f"  {SITE}/demo/a.py: changed (content)\n" in capsys.readouterr().out


def test_many_files_are_cut_and_the_json_has_them_all(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = write("before", file("/a", b"1"))
    after = write("after", *(file(f"/{number:03}", b"1") for number in range(100)))
    assert ended(before, after) == 1
    assert "and 81 more: --all or --json lists them" in capsys.readouterr().out
    assert ended("--json", before, after) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["same"] is False
    assert len(document["files"]) == 101


def test_what_is_no_image_is_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.tar").write_bytes(b"x" * 100)
    assert ended(str(tmp_path / "x.tar"), str(tmp_path / "x.tar")) == 3
    assert capsys.readouterr().err.startswith("envlock: not an image archive")
