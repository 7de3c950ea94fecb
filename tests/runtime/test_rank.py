"""Which launcher's variables win."""

import pytest

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
