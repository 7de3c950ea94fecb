"""The shared objects of an environment, whatever else lies in its directories."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from envlock.capture import objects
from envlock.capture.elf import Elf
from envlock.capture.objects import Objects

Put = Callable[[Path, bytes], Path]
MakeElf = Callable[..., bytes]


def test_odd_files_and_links_in_circles_are_no_objects(tmp_path: Path, put: Put, make_elf: MakeElf) -> None:
    site = tmp_path / "s"
    good = put(site / "pkg/good.so", make_elf())
    put(site / "pkg/broken.so", make_elf(needed=("libc.so.6",))[:90])
    put(site / "pkg/text.so", b"INPUT(-lm)\n")
    (site / "pkg/again").symlink_to(site)
    (site / "pkg/circle.so").symlink_to("circle.so")
    (site / "pkg/dangling.so").symlink_to("absent.so")
    os.mkfifo(site / "pkg/pipe.so")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(site / "pkg/socket.so"))
        found = objects.collect([site, tmp_path / "absent"])
    assert (list(found.found), found.gaps) == ([str(good)], ())


def test_directory_that_can_not_be_read_is_a_gap(tmp_path: Path) -> None:
    closed = tmp_path / "site/closed"
    closed.mkdir(parents=True)
    closed.chmod(0)
    # Root reads everything, so another user looks.
    source = (
        "from pathlib import Path\nfrom envlock.capture import objects\n"
        f"print([gap.subject for gap in objects.collect([Path({str(tmp_path)!r})]).gaps])"
    )
    if os.geteuid() != 0:
        assert [gap.subject for gap in objects.collect([tmp_path]).gaps] == ["closed"]
        return
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
    drop = "import os\nfrom envlock.capture import objects\nos.setgid(65534)\nos.setuid(65534)\n"
    done = subprocess.run(
        [sys.executable, "-c", drop + source], capture_output=True, text=True, check=True, cwd=os.getcwd()
    )
    assert done.stdout == "['closed']\n"


@pytest.mark.parametrize(
    ("one", "musl", "expected"),
    [
        (Elf(bits=64, machine=62), False, True),
        (Elf(bits=32, machine=3), False, False),
        (Elf(bits=64, machine=183), False, False),
        (Elf(bits=64, machine=62, needed=("libc.musl-x86_64.so.1",)), False, False),
        (Elf(bits=64, machine=62, needed=("libc.musl-x86_64.so.1",)), True, True),
    ],
)
def test_only_what_the_interpreter_can_load_is_followed(one: Elf, *, musl: bool, expected: bool) -> None:
    found = Objects(found={"/x.so": one}).loadable(Elf(bits=64, machine=62), musl=musl)
    assert bool(found.found) is expected
    assert Objects(found={"/x.so": one}).loadable(None, musl=True).found
