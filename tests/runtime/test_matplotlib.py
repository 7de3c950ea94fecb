"""matplotlib, simulated by a module that has its settings, then the real one."""

from pathlib import Path

import pytest

from tests.runtime.conftest import FakeImage, make

SIMULATOR = "rcParams, rcParamsDefault, rcParamsOrig = ({'svg.hashsalt': SALT} for _ in range(3))\n"
ASKING = """
import os, matplotlib as m
settings = (m.rcParams, m.rcParamsDefault, m.rcParamsOrig)
print(os.environ.get("SOURCE_DATE_EPOCH"), *(one["svg.hashsalt"] for one in settings))
"""
DRAWING = """
import hashlib, io, random, time, matplotlib
matplotlib.use("Agg")
from matplotlib import pyplot
pyplot.style.use("default")
time.sleep(1.1)  # the least that the formats write of a time
pyplot.plot([random.random() for _ in range(9)])
for kind in ("png", "svg", "pdf", "ps", "eps"):
    made = io.BytesIO()
    pyplot.savefig(made, format=kind)
    print(kind, hashlib.sha256(made.getvalue()).hexdigest())
"""


@pytest.mark.parametrize(
    ("level", "salt", "told"),
    [
        ("warn", None, "315532800 envlock envlock envlock"),
        ("strict", "mine", "315532800 mine mine mine"),
        ("none", None, "None None None None"),
    ],
)
def test_names_and_time_are_settled_unless_the_job_does(
    image: FakeImage, level: str, salt: str | None, told: str
) -> None:
    (image.packages / "matplotlib.py").write_text(SIMULATOR.replace("SALT", repr(salt)))
    done = image.job(ASKING, "--determinism", level)
    assert done.stdout == f"{told}\n", done.stderr


@pytest.mark.slow
def test_figures_of_every_kind_repeat(tmp_path: Path, frameworks_python: str) -> None:
    image = make(tmp_path / "image", frameworks_python)
    first, second, other = (image.job(DRAWING, "--seed", seed) for seed in ("1", "1", "2"))
    assert first.status == 0, first.stderr
    assert first.stdout == second.stdout
    assert not set(first.stdout.splitlines()) & set(other.stdout.splitlines())
