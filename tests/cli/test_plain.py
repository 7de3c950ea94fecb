import os
import pty
import re
import subprocess
import sys

import pytest

from envlock.cli import plain
from envlock.core.progress import Silent

_WORK = """
import sys
from envlock.cli import plain
shown = plain.progress(quiet=False)
shown.note("a [note]")
assert "rich" not in sys.modules
with shown.task("pack [numpy]", 10, "B") as advance:
    advance(10)
    shown.note("between")
assert "rich" in sys.modules
plain.say("\\x1b[32mgreen\\x1b[0m")
"""


def test_the_listener_fits_the_place() -> None:
    assert isinstance(plain.progress(quiet=True), Silent)
    assert isinstance(plain.progress(quiet=False), plain.Lines)


def test_without_a_terminal_each_piece_of_work_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = plain.Lines()
    lines.note("a [note]")
    with lines.task("pack [numpy]", 10, "B") as advance:
        advance(10)
    plain.say("\x1b[32mgreen\x1b[0m")
    assert re.fullmatch(r"a \[note\]\npack \[numpy\]: 0\.\d s\ngreen\n", capsys.readouterr().err)


def _on_a_terminal(environ: dict[str, str]) -> str:
    """Return what the work writes to a terminal."""
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as screen:
        with subprocess.Popen(
            [sys.executable, "-c", _WORK], stderr=theirs, env={**os.environ, "TERM": "xterm", **environ}
        ) as process:
            os.close(theirs)
            shown = b""
            try:
                while piece := screen.read(4096):
                    shown += piece
            except OSError:  # how Linux tells that nobody holds the other end any more
                pass
        assert process.returncode == 0
    return shown.decode()


def test_on_a_terminal_work_is_drawn_and_what_is_told_before_it_needs_no_bars() -> None:
    shown = _on_a_terminal({})
    assert shown.startswith("a [note]\r\n")
    assert "between" in shown
    assert "\x1b[32mgreen" in shown
    assert "\x1b[32mgreen" not in _on_a_terminal({"NO_COLOR": "1"})


def test_json_is_sorted_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    plain.print_json({"b": "é", "a": 1})
    assert capsys.readouterr().out == '{\n  "a": 1,\n  "b": "é"\n}\n'
