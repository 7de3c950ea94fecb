import io

from rich.console import Console

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
