"""What a person sees, as rich draws it: results on standard output, progress on standard error.

Colour and moving bars only on a terminal, and never with NO_COLOR (rich keeps both rules).
"""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress
from rich.progress import Task as RichTask
from rich.text import Text

from envlock.core.progress import Advance

# A pipe or a file has no width: tables are never cut there.
_UNBOUNDED = 1_000
_END_OF_LINE = re.compile(r" +$", re.MULTILINE)


class _Console(Console):
    """Leaves a reader that went away to :mod:`envlock.cli.main`, as every other print does.

    Into a pipe or a file go no blanks at the end of a line, with which rich fills up columns. A name such as
    ``docker:hand:1`` is no picture of a hand.
    """

    def __init__(self, **named: Any) -> None:
        super().__init__(highlight=False, soft_wrap=True, emoji=False, **named)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError

    def print(self, *objects: Any, **named: Any) -> None:
        if self.is_terminal:
            super().print(*objects, **named)
            return
        with self.capture() as printed:
            super().print(*objects, **named)
        self.file.write(_END_OF_LINE.sub("", printed.get()))
        self.file.flush()


out = _Console(width=None if sys.stdout.isatty() else _UNBOUNDED)
err = _Console(stderr=True)


def count(number: int, noun: str) -> str:
    """Return ``1 output`` or ``3 outputs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class _Amount(ProgressColumn):
    """Bytes as bytes, anything else as a count."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = DownloadColumn()
        self._count = MofNCompleteColumn()

    def render(self, task: RichTask) -> Text:
        if task.total is None:
            return Text("")
        return self._bytes.render(task) if task.fields["unit"] == "B" else self._count.render(task)


class Bars:
    """One bar for each piece of work under way; they vanish when all has ended."""

    def __init__(self, console: Console) -> None:
        """Draw on ``console``."""
        self._console = console
        self._lock = threading.Lock()
        self._running = 0
        self._bars = self._new()

    def _new(self) -> RichProgress:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _Amount(),
            TimeElapsedColumn(),
        )
        return RichProgress(*columns, console=self._console, transient=True)

    @contextmanager
    def task(self, label: str, total: int | None, unit: str = "") -> Iterator[Advance]:
        """Draw a bar until the work ends."""
        with self._lock:
            if not self._running:
                self._bars = self._new()
                self._bars.start()
            self._running += 1
            bars = self._bars
            key = bars.add_task(label, total=total, unit=unit)
        try:
            yield lambda amount: bars.advance(key, amount)
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    bars.stop()

    def note(self, text: str) -> None:
        """Print one line above the bars."""
        (self._bars.console if self._running else self._console).print(text, markup=False)
