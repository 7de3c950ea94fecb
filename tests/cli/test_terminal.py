import io

import pytest
from rich.console import Console

from envlock.cli import terminal
from envlock.core.progress import Silent


def test_the_listener_fits_the_place() -> None:
    assert isinstance(terminal.progress(quiet=True), Silent)
    assert isinstance(terminal.progress(quiet=False), terminal.Lines)


def test_without_a_terminal_each_piece_of_work_is_one_line() -> None:
    stream = io.StringIO()
    lines = terminal.Lines(Console(file=stream))
    lines.note("a [note]")
    with lines.task("pack [numpy]", 10, "B") as advance:
        advance(10)
    assert stream.getvalue().startswith("a [note]\npack [numpy]: 0.0 s\n")
    assert "\x1b" not in stream.getvalue()


def test_on_a_terminal_bars_are_drawn_and_gone_at_the_end() -> None:
    stream = io.StringIO()
    bars = terminal.Bars(Console(file=stream, force_terminal=True, width=80))
    bars.note("before")
    with bars.task("download", 2_000_000, "B") as advance, bars.task("count", 3) as count:
        advance(1_000_000)
        count(1)
        bars.note("between")
        with bars.task("unknown", None):
            pass
    shown = stream.getvalue()
    for text in ("before", "between", "download", "1.0/2.0 MB", "1/3", "unknown"):
        assert text in shown
    assert shown.endswith(("\x1b[2K", "\x1b[?25h"))


def test_json_is_sorted_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_json({"b": "é", "a": 1})
    assert capsys.readouterr().out == '{\n  "a": 1,\n  "b": "é"\n}\n'
