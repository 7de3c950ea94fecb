"""scikit-learn: small fits with a fixed ``random_state``; coefficients and predictions are hashed."""

from __future__ import annotations

from envlock.runtime.fingerprint.suites.arrays import Arrays
from envlock.runtime.fingerprint.suites.suite import Suite, prefixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from envlock.runtime.fingerprint.suites.suite import Named, Operation

_ROWS, _COLUMNS = 301, 17


class ScikitLearn(Suite):
    """One small fit of each family of estimators."""

    name = "scikit-learn"
    module = "sklearn"

    def __init__(self) -> None:
        """Import scikit-learn and NumPy."""
        from importlib import import_module

        super().__init__()
        self._numpy: Any = import_module("numpy")
        self._make = Arrays(self._numpy)

    def reseed(self) -> None:
        """Seed NumPy's legacy generator, which ``random_state=None`` inside an estimator would use."""
        self._numpy.random.seed(0)

    def operations(self) -> Iterator[Named]:
        """Return every operation."""
        yield from prefixed("sklearn", {**self._linear(), **self._trees(), **self._others()})

    def _of(self, module: str, name: str, **settings: object) -> Any:
        from importlib import import_module

        return getattr(import_module(f"sklearn.{module}"), name)(**settings)

    def _data(self) -> tuple[Any, Any]:
        """Return a table and two classes that depend on it: comparisons and exact sums alone."""
        table = self._make.floats("table", _ROWS, _COLUMNS, dtype="float64")
        return table, (table[:, 0] + table[:, 1] > table[:, 2]).astype("int64")

    def _linear(self) -> dict[str, Operation]:
        def fitted(name: str, module: str = "linear_model", **settings: object) -> object:
            found = self._of(module, name, **settings).fit(*self._data())
            return found.coef_, found.intercept_

        return {
            "LogisticRegression": lambda: fitted("LogisticRegression"),
            "Ridge": lambda: fitted("Ridge"),
            "Lasso": lambda: fitted("Lasso", alpha=0.0078125),
            "SGDClassifier": lambda: fitted("SGDClassifier", random_state=0),
            "LinearSVC": lambda: fitted("LinearSVC", module="svm", random_state=0),
        }

    def _trees(self) -> dict[str, Operation]:
        def predicted(name: str, **settings: object) -> object:
            table, classes = self._data()
            found = self._of("ensemble", name, random_state=0, **settings).fit(table, classes)
            return found.predict_proba(table)

        return {
            "RandomForestClassifier": lambda: predicted("RandomForestClassifier", n_estimators=10),
            "GradientBoostingClassifier": lambda: predicted("GradientBoostingClassifier", n_estimators=10),
            "HistGradientBoostingClassifier": lambda: predicted(
                "HistGradientBoostingClassifier", max_iter=10
            ),
        }

    def _others(self) -> dict[str, Operation]:
        def means() -> object:
            found = self._of("cluster", "KMeans", n_clusters=7, n_init=2, random_state=0)
            return found.fit(self._data()[0]).cluster_centers_

        def components(solver: str) -> object:
            found = self._of("decomposition", "PCA", n_components=5, svd_solver=solver, random_state=0)
            return found.fit_transform(self._data()[0])

        def margins() -> object:
            table, classes = self._data()
            return self._of("svm", "SVC").fit(table, classes).decision_function(table)

        def network() -> object:
            found = self._of("neural_network", "MLPClassifier", max_iter=3, random_state=0)
            return found.partial_fit(*self._data(), classes=[0, 1]).coefs_

        def neighbours() -> object:
            table, classes = self._data()
            found = self._of("neighbors", "KNeighborsClassifier").fit(table, classes)
            return found.kneighbors(table)

        return {
            "KMeans": means,
            "PCA.full": lambda: components("full"),
            "PCA.randomized": lambda: components("randomized"),
            "SVC": margins,
            "MLPClassifier": network,
            "KNeighborsClassifier": neighbours,
            "GaussianMixture": lambda: (
                self._of("mixture", "GaussianMixture", n_components=3, random_state=0)
                .fit(self._data()[0])
                .means_
            ),
        }


SUITE = ScikitLearn
