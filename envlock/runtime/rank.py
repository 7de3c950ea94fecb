"""Which rank of how many this process is, read from the variables of its launcher.

The first pair that is set wins (docs/runtime.md): ENVLOCK_RANK; RANK/WORLD_SIZE (torchrun);
OMPI_COMM_WORLD_* (Open MPI); PMI_* (MPICH, Intel MPI); SLURM_PROCID/SLURM_NTASKS, only inside a
step; JOB_COMPLETION_INDEX (Kubernetes); what Lightning gives the processes that it starts beside the
first one. So torchrun inside srun: RANK wins. A pair of which only one half is set is no pair: a lone
RANK is somebody's own variable.

This module is loaded by every Python process of a job, so it imports next to nothing.
"""

from __future__ import annotations

from envlock.runtime.errors import InputError
from envlock.runtime.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# (source, rank, world, local rank)
_LAUNCHERS = (
    ("envlock", "ENVLOCK_RANK", "ENVLOCK_WORLD", "ENVLOCK_LOCAL_RANK"),
    ("torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK"),
    ("openmpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ("pmi", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
    ("slurm", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
)
_INDEX = "JOB_COMPLETION_INDEX"
# slurm.h: SLURM_INTERACTIVE_STEP is 0xfffffffa, SLURM_BATCH_SCRIPT 0xfffffffb; neither is srun's.
_FIRST_RESERVED_STEP = 0xFFFFFFFA


class Rank(Value):
    """``rank`` of ``world`` processes, ``local_rank`` on this machine; ``source`` names the launcher."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    source: str = "none"

    @property
    def signature(self) -> str:
        """``torchrun:3/8``: tells a rank's processes from those of the program that launched it."""
        return f"{self.source}:{self.rank}/{self.world}"


def detect(environ: Mapping[str, str]) -> Rank:
    """Return the rank that ``environ`` names, else rank 0 of 1.

    Raises InputError when a variable is no number, or the rank is not below the world's size.
    """
    for source, rank_name, world_name, local_name in _LAUNCHERS:
        if environ.get(rank_name) and environ.get(world_name) and _applies(source, environ):
            rank = _number(environ, rank_name)
            local = _number(environ, local_name) if environ.get(local_name) else rank
            return _checked(Rank(rank, _number(environ, world_name), local, source), rank_name)
    if environ.get(_INDEX):
        # Kubernetes does not say how many pods an indexed job has. Two at least: were the world
        # taken for one, every pod would draw a seed of its own.
        index = _number(environ, _INDEX)
        return Rank(index, max(index + 1, 2), 0, "kubernetes")
    on_first_node = environ.get("NODE_RANK") == "0" and environ.get("WORLD_SIZE")
    if on_first_node and environ.get("LOCAL_RANK") not in (None, "", "0"):
        # Without RANK: on the first node the local one is that. Other nodes don't say how many each has.
        local = _number(environ, "LOCAL_RANK")
        return _checked(Rank(local, _number(environ, "WORLD_SIZE"), local, "lightning"), "LOCAL_RANK")
    return Rank()


def _applies(source: str, environ: Mapping[str, str]) -> bool:
    if source != "slurm":
        return True
    step = environ.get("SLURM_STEP_ID") or environ.get("SLURM_STEPID") or ""
    return step.isdigit() and int(step) < _FIRST_RESERVED_STEP


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ[name]
    if not (text.isascii() and text.isdigit()):
        raise InputError("a rank variable is no number", where=name, expected="0, 1, 2 …", found=repr(text))
    return int(text)


def _checked(found: Rank, name: str) -> Rank:
    if found.rank >= found.world:
        raise InputError(
            "a rank lies outside its world",
            where=name,
            expected=f"less than {found.world}",
            found=str(found.rank),
        )
    return found
