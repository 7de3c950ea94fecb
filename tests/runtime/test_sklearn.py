"""scikit-learn where threads add up in the order in which they end: simulated, then the real one."""

from pathlib import Path

import pytest

from tests.runtime.conftest import FakeImage, make

KMEANS = "def _openmp_effective_n_threads(n_threads=None): return n_threads or 8"
FOREST = "def _partition_estimators(n_estimators, n_jobs): return n_jobs, [n_estimators], [0]"
ASKING = """
from sklearn.cluster import _bisect_k_means, _kmeans
from sklearn.ensemble import _forest
print(_kmeans._openmp_effective_n_threads(), _bisect_k_means._openmp_effective_n_threads(n_threads=1))
print(_forest._partition_estimators(20, 4))
"""
# Sums of many parts, so that another order shows: each differed within four fits when left alone.
FITTING = """
import hashlib, numpy as np
from sklearn.cluster import BisectingKMeans, KMeans
from sklearn.ensemble import RandomForestRegressor
x = np.random.rand(6000, 20)
y = x @ np.random.rand(20)
def hashes(fit):
    return {hashlib.sha256(fit().tobytes()).hexdigest() for _ in range(4)}
forest = RandomForestRegressor(50, n_jobs=4, max_depth=4).fit(x[:500], y[:500])
print(
    len(hashes(lambda: KMeans(8, n_init=1, random_state=0).fit(x).cluster_centers_)),
    len(hashes(lambda: BisectingKMeans(8, random_state=0).fit(x).cluster_centers_)),
    len(hashes(lambda: forest.predict(x))),
)
"""


def simulate(image: FakeImage) -> None:
    for place, code in (
        ("cluster/_kmeans", KMEANS),
        ("cluster/_bisect_k_means", KMEANS),
        ("ensemble/_forest", FOREST),
    ):
        path = image.packages / "sklearn" / f"{place}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)


def test_kmeans_takes_two_threads_and_a_forest_predicts_with_one(image: FakeImage) -> None:
    simulate(image)
    assert image.job(ASKING).stdout == "2 1\n(1, [20], [0])\n"


def test_without_determinism_scikit_learn_keeps_its_threads(image: FakeImage) -> None:
    simulate(image)
    assert image.job(ASKING, "--determinism", "none").stdout == "8 1\n(4, [20], [0])\n"


@pytest.mark.slow
def test_kmeans_and_forests_repeat_with_four_threads(tmp_path: Path, frameworks_python: str) -> None:
    image = make(tmp_path / "image", frameworks_python)
    done = image.job(FITTING, "--seed", "1", env={"OMP_NUM_THREADS": "4"})
    assert done.stdout == "1 1 1\n", done.stderr
