"""What a person sees where nothing is drawn: lines, and JSON. Bars are drawn by :mod:`envlock.cli.terminal`.

Colour only on a terminal, and never with NO_COLOR. rich takes longer to import than a command takes that
has nothing to do, so it waits for work.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import click

from envlock.core.progress import Advance, Progress, Silent


def say(text: str) -> None:
    """Print one line on standard error."""
    click.echo(text, err=True, color=False if os.environ.get("NO_COLOR") else None)


def print_json(value: object) -> None:
    """Print ``value`` as indented JSON with sorted keys on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def progress(*, quiet: bool) -> Progress:
    """Return the listener that fits: none with --quiet, bars on a terminal, lines elsewhere."""
    if quiet:
        return Silent()
    return Drawn() if sys.stderr.isatty() else Lines()


class Lines:
    """Says when each piece of work has ended and how long it took, for logs."""

    @contextmanager
    def task(self, label: str, total: int | None, unit: str = "") -> Iterator[Advance]:  # noqa: ARG002
        """Print one line at the end of the work."""
        begun = time.monotonic()
        yield lambda _: None
        say(f"{label}: {time.monotonic() - begun:.1f} s")

    def note(self, text: str) -> None:
        """Print one line."""
        say(text)


class Drawn:
    """Bars, from the first piece of work on."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        self._bars: Progress | None = None

    def task(self, label: str, total: int | None, unit: str = "") -> AbstractContextManager[Advance]:
        """Draw a bar until the work ends."""
        if self._bars is None:
            from envlock.cli import terminal  # noqa: PLC0415  # see above

            self._bars = terminal.Bars(terminal.err)
        return self._bars.task(label, total, unit)

    def note(self, text: str) -> None:
        """Print one line, above the bars where there are any."""
        if self._bars is None:
            say(text)
        else:
            self._bars.note(text)
