"""How long work tells that it goes on, without knowing who listens."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol

Advance = Callable[[int], None]


class Progress(Protocol):
    """A listener. The command line draws bars; tests and ``--quiet`` use :class:`Silent`."""

    def task(self, label: str, total: int | None, unit: str = "") -> AbstractContextManager[Advance]:
        """Begin a piece of work of ``total`` steps (None: unknown; unit ``B`` for bytes)."""
        ...

    def note(self, text: str) -> None:
        """Say one line."""
        ...


class Silent:
    """Listens to nothing."""

    @contextmanager
    def task(self, label: str, total: int | None, unit: str = "") -> Iterator[Advance]:  # noqa: ARG002
        """Accept and discard."""
        yield lambda _: None

    def note(self, text: str) -> None:
        """Accept and discard."""


SILENT: Final = Silent()
