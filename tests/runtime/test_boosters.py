"""LightGBM, XGBoost and numba, simulated by modules that keep what they are given."""

import json
from pathlib import Path

import pytest

from envlock.runtime import seeds
from envlock.runtime.frameworks import lightgbm, xgboost
from tests.runtime.conftest import FakeImage

FAKE_LIGHTGBM = """
class Booster:
    def __init__(self, params=None, train_set=None, model_file=None):
        self.params = params
class LGBMModel:
    def _process_n_jobs(self, n_jobs):
        return n_jobs
"""
FAKE_XGBOOST = """
class Booster:
    def __init__(self, params=None, cache=None, model_file=None):
        self.params = dict(params or {})
    def set_param(self, params):
        self.params.update(params)
"""
FAKE_NUMBA = """
def rnd_get_np_state_ptr(): return "numpy"
def rnd_get_py_state_ptr(): return "python"
given = {}
def rnd_seed(state, value): given[state] = value
def rnd_get_state(state): return held[state]
def rnd_set_state(state, value): held[state] = value
held = {"numpy": (624, (1, 2)), "python": (7, (3, 2**32 - 1))}
"""


def handed(stream: str, *child: str) -> int:
    return seeds.derive(42, ("default", "trial/0", stream, "rank/0", *child), 32)


def test_lightgbm_trains_with_the_runs_seed_threads_and_order_of_sums(image: FakeImage) -> None:
    (image.packages / "lightgbm.py").write_text(FAKE_LIGHTGBM)
    code = """
import json, lightgbm
from types import SimpleNamespace
data = SimpleNamespace(params={"force_col_wise": True})
made = [lightgbm.Booster({"objective": "binary"}, data), lightgbm.Booster(model_file="model.txt"),
        lightgbm.Booster(train_set=data), lightgbm.Booster({"random_state": 3}, SimpleNamespace())]
print(json.dumps([one.params for one in made]))
print([lightgbm.LGBMModel()._process_n_jobs(jobs) for jobs in (None, -1, 3)])
"""
    shown, jobs = image.job(code, "--seed", "42").stdout.splitlines()
    own = {"seed": handed("lightgbm") % 2**31, "deterministic": True}
    assert json.loads(shown) == [
        {**own, "objective": "binary"},
        None,
        own,
        {"deterministic": True, "force_row_wise": True, "random_state": 3},
    ]
    assert jobs == "[2, 2, 3]"
    assert image.job(code, "--determinism", "none").stdout.splitlines()[1] == "[None, -1, 3]"


def test_xgboost_trains_with_the_runs_seed_and_threads(image: FakeImage) -> None:
    (image.packages / "xgboost.py").write_text(FAKE_XGBOOST)
    code = """
import json, xgboost
made = [xgboost.Booster(), xgboost.Booster({"seed": 3, "n_jobs": 1}), xgboost.Booster(model_file="x"),
        xgboost.Booster([("nthread", -1), ("random_state", None)])]
print(json.dumps([one.params for one in made]))
"""
    own = {"seed": handed("xgboost") % 2**31, "nthread": 2}
    found = json.loads(image.job(code, "--seed", "42").stdout)
    assert found == [own, {"seed": 3, "n_jobs": 1}, {}, {**own, "random_state": None}]


def numba_in(packages: Path) -> None:
    package = packages / "numba"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "_helperlib.py").write_text(FAKE_NUMBA)


def test_numba_gets_a_seed_for_each_of_its_generators(image: FakeImage) -> None:
    numba_in(image.packages)
    code = "import json, numba\nfrom numba import _helperlib\nprint(json.dumps(_helperlib.given))\n"
    found = json.loads(image.job(code, "--seed", "42").stdout)
    assert found == {"numpy": handed("numba"), "python": handed("numba", "python")}


def test_each_of_numbas_generators_goes_on_from_a_checkpoint(image: FakeImage) -> None:
    numba_in(image.packages)
    code = """
import json, numba
from numba import _helperlib
from envlock.runtime.checkpoint import generators
before = dict(_helperlib.held)
found = json.loads(json.dumps(generators.snapshot()))
_helperlib.held.update(numpy=(0, ()), python=(0, ()))
generators.restore(found)
assert _helperlib.held == before, _helperlib.held
print(json.dumps(found["numba"]))
"""
    found = json.loads(image.job(code, "--seed", "42").stdout)
    assert found == [[624, [1, 2]], [7, [3, 2**32 - 1]]]


@pytest.mark.parametrize("level", ["none", "warn"])
def test_what_the_user_gives_is_kept(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    given = {"seed": 1, "deterministic": False, "force_row_wise": False, "nthread": 2}
    assert lightgbm.completed(given, 9, level) == {}
    assert xgboost.completed(given, 9, level) == {}


def test_the_level_none_gives_seeds_and_nothing_that_costs_speed() -> None:
    assert lightgbm.completed({}, 9, "none") == {"seed": 9}
    assert xgboost.completed({}, 9, "none") == {"seed": 9}
