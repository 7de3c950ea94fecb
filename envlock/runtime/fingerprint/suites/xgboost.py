"""XGBoost: small trainings by each tree method; predictions are hashed."""

from __future__ import annotations

from envlock.runtime.fingerprint.suites.boosting import ROUNDS, Boosting
from envlock.runtime.fingerprint.suites.suite import prefixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from envlock.runtime.fingerprint.suites.suite import Named


class XGBoost(Boosting):
    """Classification and regression."""

    name = "xgboost"
    module = "xgboost"

    def operations(self) -> Iterator[Named]:
        """Return every operation."""

        def trained(objective: str, **settings: object) -> object:
            xgb = self.framework
            table, classes, target = self.data()
            matrix = xgb.DMatrix(table, label=classes if objective == "binary:logistic" else target)
            asked = {"objective": objective, "seed": 0, "max_depth": 4, "verbosity": 0, **settings}
            return xgb.train(asked, matrix, num_boost_round=ROUNDS).predict(matrix)

        yield from prefixed(
            "xgboost",
            {
                "hist": lambda: trained("binary:logistic", tree_method="hist"),
                "exact": lambda: trained("binary:logistic", tree_method="exact"),
                "regression": lambda: trained("reg:squarederror", tree_method="hist"),
                "subsample": lambda: trained("reg:squarederror", subsample=0.5, colsample_bytree=0.5),
                "linear": lambda: trained("reg:squarederror", booster="gblinear", updater="coord_descent"),
            },
        )


SUITE = XGBoost
