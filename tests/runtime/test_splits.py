"""A split is everyone's: one seed, the same members, on every rank, in every process, in the record."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envlock.runtime import seeds, splits
from envlock.runtime.errors import InputError
from tests.runtime.conftest import FakeImage

SPLIT = """
from envlock.runtime import seeds
train, test = seeds.split("data.split", range(10), (0.8, 0.2))
print(train, test)
"""


def test_a_split_is_the_same_on_every_rank_and_stands_in_the_record(image: FakeImage) -> None:
    ranks = [image.job(SPLIT, "--seed", "42", env={"RANK": rank, "WORLD_SIZE": "2"}) for rank in ("0", "1")]
    assert ranks[0].stdout == ranks[1].stdout == "[0, 1, 2, 3, 4, 5, 6, 9] [7, 8]\n"
    (one,) = ranks[1].record.splits
    lines = [f"0\t{item}\n" for item in (0, 1, 2, 3, 4, 5, 6, 9)] + ["1\t7\n", "1\t8\n"]
    assert one.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert one.seed == seeds.derive(42, ("default", "trial/0", "data.split"), 128)
    assert (one.stream, one.sizes) == ("data.split", (8, 2))


def test_a_split_refuses_to_differ_by_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVLOCK_SEED", "42")
    with pytest.raises(InputError, match="can't differ by rank"):
        seeds.split("data", [1, 2], [1, 1], per_rank=True)


@given(
    count=st.integers(0, 200), parts=st.lists(st.integers(1, 9), min_size=1, max_size=5), seed=st.integers(0)
)
def test_every_item_is_in_one_part_and_in_its_order(count: int, parts: list[int], seed: int) -> None:
    fractions = [part / sum(parts) for part in parts]
    made = splits.divide(range(count), splits.sizes(count, fractions), seed)
    assert sorted(item for part in made for item in part) == list(range(count))
    assert all(part == sorted(part) for part in made)
    assert all(abs(len(part) - fraction * count) <= 1 for part, fraction in zip(made, fractions, strict=True))


@pytest.mark.parametrize("parts", [(0.5, 0.4), (3, 8), (-0.5, 1.5), (float("nan"), 1.0)])
def test_parts_that_do_not_sum_up_are_refused(parts: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="not a split"):
        splits.sizes(10, parts)


def test_membership_tells_data_and_parts_apart() -> None:
    found = {
        splits.membership(parts)
        for parts in ([["a"], ["b"]], [["a", "b"], []], [["b"], ["a"]], [["a"], ["c"]], [[1], [2]])
    }
    assert len(found) == 5
    assert splits.membership([[object()], []]) == splits.membership([[object()], []])
