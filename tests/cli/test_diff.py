import json
import os
import pty
import struct
import subprocess
import sys
import termios
from dataclasses import replace
from fcntl import ioctl
from pathlib import Path

import pytest

from envlock.cli import main
from envlock.core.digest import Digest
from envlock.lock import file
from envlock.lock.model import Gap, Lock, Package, Wheel
from tests.image.wheels import lock_of


def package(name: str, version: str, salt: str = "") -> Package:
    wheel = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    return Package(
        name=name,
        version=version,
        wheel=Wheel(
            name=wheel,
            sha256=Digest.of((wheel + salt).encode()),
            size=1,
            url=f"https://index.example/{wheel}",
        ),
        source="index",
        evidence="matched",
    )


@pytest.fixture
def locks(tmp_path: Path) -> tuple[Path, Path]:
    """Two lockfiles of 300 packages with a difference of every kind."""
    same = [package(f"package-{number}", "1.0") for number in range(290)]
    before = replace(
        lock_of(), packages=(*same, package("gone", "1"), package("up", "1"), package("built", "1"))
    )
    edited = replace(package("built", "1", "again"), modified=("built/a.py",))
    long = package("a-" + "very-" * 12 + "long-name", "1.0")
    after = replace(
        lock_of(),
        packages=(*same, long, package("up", "2"), edited),
        libraries=tuple((f"lib{number}.so", "unowned") for number in range(20)),
        gaps=(Gap(subject="[red]\x1b[31m[/x]", reason="bell \x07, " + "long " * 40),),
    )
    paths = (tmp_path / "pylock.a.toml", tmp_path / "pylock.b.toml")
    for path, lock in zip(paths, (before, after), strict=True):
        file.write(path, lock)
    return paths


def on_a_terminal(columns: int, *argv: str, **environ: str) -> list[str]:
    """Run envlock on a terminal of so many columns and return the lines that it shows."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    # Where COLUMNS is set, it beats the terminal's own answer.
    own = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    variables = {**own, "TERM": "xterm", **environ}
    started = subprocess.Popen(
        [sys.executable, "-m", "envlock", *argv], stdout=theirs, stderr=theirs, env=variables
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    started.wait(timeout=60)
    os.close(ours)
    return shown.decode().splitlines()


def test_the_counts_come_first_and_only_what_differs_is_listed(
    locks: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main._status(["diff", *map(str, locks)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "another environment-id"
    assert lines[1] == (
        "packages: 1 added; 1 removed; 1 another version; 1 same version, other bytes; 290 unchanged"
    )
    assert lines[2] == "other tables: 20 libraries, 1 gaps"
    assert [line for line in lines if line.endswith(" ")] == []
    text = "\n".join(lines)
    assert "package-1" not in text
    assert "    edited: built/a.py" in text
    assert "  and 12 more; --json lists all" in text
    # In a pipe no line is folded, and nothing of a file reaches it raw.
    assert "long long" in text
    assert r"[red]\x1b[31m[/x]" in text
    assert "\x1b" not in text
    assert "\x07" not in text


@pytest.mark.parametrize("columns", [80, 200])
def test_lines_fit_the_terminal(locks: tuple[Path, Path], columns: int) -> None:
    lines = on_a_terminal(columns, "diff", *map(str, locks), NO_COLOR="1")
    listed = [line for line in lines if line.startswith("  ") and "edited" not in line]
    assert max(len(line.replace("\x1b[2m", "").replace("\x1b[0m", "")) for line in listed) <= columns
    assert any("very-" * 12 in line for line in listed) == (columns == 200)


def test_on_a_terminal_groups_have_colours_and_not_with_no_color(locks: tuple[Path, Path]) -> None:
    def coloured(**environ: str) -> bool:
        return any("\x1b[3" in line for line in on_a_terminal(80, "diff", *map(str, locks), **environ))

    assert coloured(COLORTERM="")
    assert not coloured(NO_COLOR="1")


def test_json_has_every_change_in_full(locks: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main._status(["diff", *map(str, locks), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["same"], answer["same-environment"]) == (False, False)
    assert answer["packages"]["versions"] == [{"subject": "up", "before": "1", "after": "2", "note": ""}]
    assert answer["packages"]["bytes"][0]["before"] == str(package("built", "1").wheel.sha256)
    assert answer["packages"]["unchanged"] == 290
    assert len(answer["tables"]["libraries"]) == 20


def test_a_lock_and_itself_have_no_difference(
    locks: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main._status(["diff", str(locks[0]), str(locks[0])]) == 0
    assert capsys.readouterr().out == "no difference\n"


def test_only_another_machine_is_the_same_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock: Lock = lock_of()
    for name, one in (("a", lock), ("b", replace(lock, cpu=replace(lock.cpu, cores=lock.cpu.cores + 1)))):
        file.write(tmp_path / f"pylock.{name}.toml", one)
    assert main._status(["diff", str(tmp_path / "pylock.a.toml"), str(tmp_path / "pylock.b.toml")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["the same environment-id", "packages: 0 unchanged"]
