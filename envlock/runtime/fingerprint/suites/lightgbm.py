"""LightGBM: small deterministic trainings; predictions are hashed."""

from __future__ import annotations

from envlock.runtime.fingerprint.suites.boosting import ROUNDS, Boosting
from envlock.runtime.fingerprint.suites.suite import prefixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from envlock.runtime.fingerprint.suites.suite import Named

_DETERMINISTIC = {"seed": 0, "deterministic": True, "force_row_wise": True, "verbose": -1, "num_leaves": 15}


class LightGBM(Boosting):
    """Classification and regression."""

    name = "lightgbm"
    module = "lightgbm"

    def operations(self) -> Iterator[Named]:
        """Return every operation."""

        def trained(objective: str, **settings: object) -> object:
            lgb = self.framework
            table, classes, target = self.data()
            label = classes if objective == "binary" else target
            asked = {**_DETERMINISTIC, "objective": objective, **settings}
            return lgb.train(asked, lgb.Dataset(table, label), ROUNDS).predict(table)

        yield from prefixed(
            "lightgbm",
            {
                "binary": lambda: trained("binary"),
                "regression": lambda: trained("regression"),
                "bagging": lambda: trained("regression", bagging_fraction=0.5, bagging_freq=1),
                "column_wise": lambda: trained("regression", force_row_wise=False, force_col_wise=True),
            },
        )


SUITE = LightGBM
