import io

import pytest
from rich.console import Console
from rich.table import Table

from envlock.cli import terminal


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


def test_a_table_in_a_pipe_has_no_blanks_at_the_end_of_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name", "found", box=None, pad_edge=False)
    table.add_row("short", "a value that is long")
    table.add_row("a long name", "short")
    table.add_row("none", "")
    terminal.out.print(table)
    terminal.out.print("after")
    lines = capsys.readouterr().out.split("\n")
    assert lines == [
        "name         found",
        "short        a value that is long",
        "a long name  short",
        "none",
        "after",
        "",
    ]


def test_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """rich draws ``:hand:`` as a hand and takes what stands in brackets for a style."""
    terminal.out.print("docker:hand:1")
    stream = io.StringIO()
    with terminal.Bars(Console(file=stream, force_terminal=True, width=80)).task("x:hand:[bold] [/b]", 3):
        pass
    assert capsys.readouterr().out == "docker:hand:1\n"
    assert "x:hand:[bold] [/b]" in stream.getvalue()
