"""Going on in the middle of an epoch: a loader whose place in its data can be saved.

A loader draws its order from random generators when an epoch begins, and its workers take their seeds
then. So what is kept is the state of the generators at that moment and how many batches were given.
Going on, the generators are set back to it, the epoch is begun again, the batches that were given are
read and dropped, and the generators are put where the checkpoint has them.
"""

from __future__ import annotations

from itertools import islice

from envlock.runtime.checkpoint import generators
from envlock.runtime.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class Batches:
    """Iterates over ``loader`` again and again; its state is the place within an epoch."""

    def __init__(self, loader: Any) -> None:
        """Wrap anything that begins anew at each ``iter``: a torch DataLoader, a list, a Dataset.

        Raises InputError for a DataLoader with persistent workers: their generators go on from epoch
        to epoch inside the workers, where they can't be saved.
        """
        if getattr(loader, "persistent_workers", False):
            raise InputError(
                "persistent workers keep random states that can't be saved",
                where="Batches",
                expected="persistent_workers=False",
                found="True",
            )
        self._loader = loader
        self._begun: dict[str, Any] | None = None
        self._given = 0
        self._resumed = False

    def __len__(self) -> int:
        """Return the loader's number of batches, those that were given before included."""
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        """Give the batches of an epoch; the first epoch after loading goes on where the saved one was."""
        if self._resumed:
            iterator = self._again()
        else:
            self._begun, self._given = self._state(), 0
            iterator = iter(self._loader)
        for batch in iterator:
            self._given += 1
            yield batch
        self._begun, self._given = None, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the place: None and 0 between epochs."""
        return {"begun": self._begun, "given": self._given}

    def load_state_dict(self, found: dict[str, Any]) -> None:
        """Go on from the place ``found`` at the next ``iter``."""
        self._begun, self._given = found["begun"], found["given"]
        self._resumed = self._begun is not None

    def _again(self) -> Iterator[Any]:
        self._resumed = False
        now = self._state()
        self._set_state(self._begun or now)
        iterator: Iterator[Any] = iter(self._loader)
        for _ in islice(iterator, self._given):
            pass
        self._set_state(now)
        return iterator

    def _state(self) -> dict[str, Any]:
        own = getattr(self._loader, "generator", None)
        return {
            "shared": generators.snapshot(),
            "own": None if own is None else generators.tensor_text(own.get_state()),
        }

    def _set_state(self, found: dict[str, Any]) -> None:
        generators.restore(found["shared"])
        if found["own"] is not None:
            self._loader.generator.set_state(generators.tensor(found["own"]))
