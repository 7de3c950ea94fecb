"""Polars, simulated by a module that keeps what it is given, then the real one."""

from pathlib import Path

import pytest

from envlock.runtime import seeds
from tests.runtime.conftest import FakeImage, make

# Enough rows for two threads to share them: left alone, the sums differed in two of three runs.
DRAWING = """
import numpy, polars
rows = 1_000_000
values = numpy.random.RandomState(0)
frame = polars.DataFrame({"group": values.randint(0, 50, rows), "value": values.randn(rows)})
value = polars.col("value")
print(
    frame.sample(5)["group"].to_list(),
    frame.select(value.shuffle().alias("a"), value.shuffle().alias("b")).head(2).rows(),
    frame.lazy().group_by("group").agg(value.sum()).collect().rows(),
    frame.lazy().group_by("group").agg(value.mean()).collect(engine="streaming").rows(),
    polars.thread_pool_size(),
)
"""


def test_the_run_seeds_polars_and_the_jobs_own_seed_is_kept_and_told(image: FakeImage) -> None:
    (image.packages / "polars.py").write_text("given = []\nset_random_seed = given.append\n")
    done = image.job("import polars\npolars.set_random_seed(7)\nprint(*polars.given)", "--seed", "42")
    handed = seeds.derive(42, ("default", "trial/0", "polars", "rank/0"), 64)
    assert done.stdout == f"{handed} 7\n"
    (told,) = done.record.reseedings
    assert (told.function, told.value) == ("polars.set_random_seed", "7")


@pytest.mark.slow
def test_samples_shuffles_and_sums_of_groups_repeat(tmp_path: Path, frameworks_python: str) -> None:
    image = make(tmp_path / "image", frameworks_python)
    image.describe(packages={"polars": "2.1.0"})
    first, second, other = (image.job(DRAWING, "--seed", seed) for seed in ("1", "1", "2"))
    assert first.status == 0, first.stderr
    assert first.stdout == second.stdout != other.stdout
    assert first.stdout.endswith(" 1\n")
