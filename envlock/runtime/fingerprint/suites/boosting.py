"""What the suites of XGBoost and LightGBM share: a table, classes and a smooth target."""

from __future__ import annotations

from envlock.runtime.fingerprint.suites.arrays import Arrays
from envlock.runtime.fingerprint.suites.suite import Suite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROUNDS = 8
_ROWS, _COLUMNS = 1003, 11


class Boosting(Suite):
    """A suite that trains on the same small table."""

    def __init__(self) -> None:
        """Import the framework and NumPy."""
        from importlib import import_module

        super().__init__()
        self._make = Arrays(import_module("numpy"))

    def data(self) -> tuple[Any, Any, Any]:
        """Return (table, classes, target)."""
        table = self._make.floats("table", _ROWS, _COLUMNS)
        return table, (table[:, 0] + table[:, 1] > table[:, 2]).astype("int64"), table[:, 3] * table[:, 4]
