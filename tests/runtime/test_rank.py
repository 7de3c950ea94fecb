"""Which launcher's variables win."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envlock.runtime import rank
from envlock.runtime.errors import InputError
from envlock.runtime.rank import Rank

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
SLURM = {"SLURM_PROCID": "5", "SLURM_NTASKS": "16", "SLURM_LOCALID": "2", "SLURM_STEP_ID": "0"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Rank()),
        ({"ENVLOCK_RANK": "1", "ENVLOCK_WORLD": "2", **TORCHRUN}, Rank(1, 2, 1, "envlock")),
        ({**TORCHRUN, **SLURM}, Rank(3, 8, 1, "torchrun")),
        ({"RANK": "3"}, Rank()),
        ({"RANK": "", "WORLD_SIZE": "8"}, Rank()),
        (
            {
                "OMPI_COMM_WORLD_RANK": "1",
                "OMPI_COMM_WORLD_SIZE": "4",
                "OMPI_COMM_WORLD_LOCAL_RANK": "0",
                **SLURM,
            },
            Rank(1, 4, 0, "openmpi"),
        ),
        ({"NODE_RANK": "0", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}, Rank(1, 2, 1, "lightning")),
        ({"NODE_RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}, Rank()),
        ({"NODE_RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}, Rank()),
        ({"PMI_RANK": "2", "PMI_SIZE": "4"}, Rank(2, 4, 2, "pmi")),
        (SLURM, Rank(5, 16, 2, "slurm")),
        ({**SLURM, "SLURM_STEP_ID": ""}, Rank()),
        ({**SLURM, "SLURM_STEP_ID": "4294967291"}, Rank()),
        ({"JOB_COMPLETION_INDEX": "0"}, Rank(0, 2, 0, "kubernetes")),
        ({"JOB_COMPLETION_INDEX": "7"}, Rank(7, 8, 0, "kubernetes")),
    ],
)
def test_the_first_launcher_that_is_set_wins(environ: dict[str, str], expected: Rank) -> None:
    assert rank.detect(environ) == expected


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"RANK": "x", "WORLD_SIZE": "2"}, "no number: RANK"),
        ({"RANK": "0", "WORLD_SIZE": "-2"}, "no number: WORLD_SIZE"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "outside its world: RANK: expected less than 2, found 2"),
    ],
)
def test_contradictions_are_errors(environ: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rank.detect(environ)


def test_the_signature_tells_launchers_apart() -> None:
    assert Rank(0, 1, 0, "torchrun").signature == "torchrun:0/1"
    assert Rank().signature == "none:0/1"


LAUNCHERS = {
    "envlock": ("ENVLOCK_RANK", "ENVLOCK_WORLD", "ENVLOCK_LOCAL_RANK"),
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    "openmpi": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    "pmi": ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
    "slurm": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
}
numbers = st.integers(0, 2**20).map(str)
junk = st.sampled_from(["", " 1", "-1", "1.0", "x", "٣", "1e3"])


@st.composite
def environments(draw: st.DrawFn) -> dict[str, str]:
    """Variables of any number of launchers, whole pairs and halves, numbers and junk."""
    names = [name for group in LAUNCHERS.values() for name in group] + ["JOB_COMPLETION_INDEX"]
    chosen = draw(st.lists(st.sampled_from(names), unique=True))
    environ = {name: draw(st.one_of(numbers, junk)) for name in chosen}
    step = draw(st.sampled_from([None, "0", "7", "batch", "4294967290", "4294967291"]))
    return environ if step is None else {**environ, "SLURM_STEP_ID": step}


@given(environments())
def test_any_mixture_gives_a_rank_inside_its_world_or_one_clear_error(environ: dict[str, str]) -> None:
    found: Rank | InputError
    try:
        found = rank.detect(environ)
    except InputError as error:
        found = error
    if isinstance(found, InputError):
        assert found.where in environ
    else:
        assert 0 <= found.rank < found.world
        assert found.source in {*LAUNCHERS, "kubernetes", "none"}


@given(environ=environments(), own=st.integers(0, 7), more=st.integers(1, 8))
def test_of_launchers_that_contradict_each_other_the_first_in_order_wins(
    environ: dict[str, str], own: int, more: int
) -> None:
    order = list(LAUNCHERS)
    for position, source in enumerate(order):
        inside = {key: value for key, value in environ.items() if key not in _names(order[: position + 1])}
        step = {"SLURM_STEP_ID": "0"} if source == "slurm" else {}
        rank_name, world_name, local_name = LAUNCHERS[source]
        pair = {rank_name: str(own), world_name: str(own + more), local_name: "0"}
        assert rank.detect({**inside, **pair, **step}) == Rank(own, own + more, 0, source)


@given(st.sampled_from(list(LAUNCHERS)), st.sampled_from([0, 1]), numbers)
def test_half_a_pair_is_somebodys_own_variable(source: str, half: int, value: str) -> None:
    assert rank.detect({LAUNCHERS[source][half]: value, "SLURM_STEP_ID": "0"}) == Rank()


def _names(sources: list[str]) -> set[str]:
    return {name for source in sources for name in LAUNCHERS[source]}
