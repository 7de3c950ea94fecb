"""The verdict on runs: from their records and, where bytes are not the same, outputs and traces."""

from collections.abc import Sequence

from envlock.replay.compare import Comparison, compare
from envlock.replay.recorded import Recorded
from envlock.replay.trace.reading import partings


def verdict(runs: Sequence[Recorded]) -> Comparison:
    """Compare two or more runs; raises as :func:`compare`."""
    records = tuple(run.record for run in runs)
    found = compare(records)
    if not found.unequal:
        return found
    # NumPy is slow to import, and most comparisons end before.
    from envlock.replay.contents.inside import inside  # noqa: PLC0415

    return compare(records, tuple(inside(runs)), partings(runs))
