"""Whether runs gave the same results and, where they did not, what else was not the same.

Pure: records in, a :class:`Comparison` out. Rules kept here:

* Results are exit status and outputs; they decide the verdict. Everything else is context, which
  explains a verdict and never makes it.
* Outputs are compared by bytes. Where the manifest of every run says ``compare: tensors`` or ``json``, the
  same values in other bytes (another order in the zip file, a time in it) are the same result.
* Without a single hashed output there is nothing to judge: an error, never ``identical``.
* A fact that some records lack (an image's digest, under plain ``docker run``) is no difference.
* The verdict does not depend on the records' order; each is compared with the first.
* Where at least two records hold a numerics fingerprint, these are compared: they tell a host that
  computes otherwise from a seed, an input or a job that is not the same.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from envlock.replay.contents.findings import Inside, PartDifference
from envlock.replay.context import Difference, differences, suspects
from envlock.replay.trace.parting import Parting
from envlock.runtime.errors import InputError
from envlock.runtime.fingerprint.agreement import Agreement, agree
from envlock.runtime.image import Gap
from envlock.runtime.record import FileHash, RunRecord

Verdict = Literal["identical", "different"]
Match = Literal["equal", "same values", "differ", "not in all", "missing"]
_SAME: tuple[Match, ...] = ("equal", "same values", "missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputComparison:
    """One output in every record: ``sha256`` in the records' order, None where a run did not write it.

    ``missing`` is an output that the manifest declares and no run wrote. ``inside``: what differs in it, for
    each run whose bytes are not the first's, where somebody looked.
    """

    path: str
    match: Match
    sha256: tuple[str | None, ...]
    inside: tuple[Inside, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The verdict on two or more records, with what it stands on, in the records' order."""

    verdict: Verdict
    runs: tuple[str, ...]
    exit_statuses: tuple[int | None, ...]
    outputs: tuple[OutputComparison, ...]
    differences: tuple[Difference, ...]
    suspects: tuple[Gap, ...]
    """Places of the job and what no seed repeats there, whether or not results differ."""
    numerics: Agreement | None
    """How the fingerprints compare; None where fewer than two records hold one."""
    partings: tuple[Parting, ...] = ()
    """Where traced runs part, one for each process and run, where outputs differ."""

    @property
    def unequal(self) -> tuple[OutputComparison, ...]:
        """The outputs that are not the same in all records."""
        return tuple(output for output in self.outputs if output.match not in _SAME)


def compare(
    records: tuple[RunRecord, ...], inside: tuple[Inside, ...] = (), partings: tuple[Parting, ...] = ()
) -> Comparison:
    """Compare two or more records.

    ``inside``: what was found in outputs whose bytes differ; ``partings``: in traces of runs that differ.

    Raises InputError for a run that did not end, and when no record has a hashed output.
    """
    for record in records:
        _check_ended(record)
    outputs = tuple(_outputs(records, inside))
    if not any(any(output.sha256) for output in outputs):
        raise InputError(
            "nothing to compare",
            where=", ".join(record.run[:12] for record in records),
            expected="at least one hashed output",
            found="none",
            hint="declare `outputs:` in the run manifest, or let the job write to /out",
        )
    statuses = tuple(record.exit_status for record in records)
    same = len(set(statuses)) == 1 and all(output.match in _SAME for output in outputs)
    return Comparison(
        verdict="identical" if same else "different",
        runs=tuple(record.run for record in records),
        exit_statuses=statuses,
        outputs=outputs,
        differences=differences(records),
        suspects=suspects(records),
        numerics=_numerics(records),
        partings=partings,
    )


def to_document(comparison: Comparison) -> dict[str, object]:
    """Return the comparison as JSON has it."""
    return {
        "verdict": comparison.verdict,
        "runs": list(comparison.runs),
        "exit-statuses": list(comparison.exit_statuses),
        "outputs": [
            {
                "path": output.path,
                "match": output.match,
                "sha256": list(output.sha256),
                "inside": [_inside_document(one) for one in output.inside],
            }
            for output in comparison.outputs
        ],
        "differences": [
            {"subject": difference.subject, "values": list(difference.values)}
            for difference in comparison.differences
        ],
        "suspects": [one.as_dict() for one in comparison.suspects],
        "numerics": None if comparison.numerics is None else _numerics_document(comparison.numerics),
        "trace": [_parting_document(one) for one in comparison.partings],
    }


def _inside_document(found: Inside) -> dict[str, object]:
    return {
        "run": found.run,
        "parts": found.parts,
        "differing": [_part_document(one) for one in found.differing],
        "unread": found.unread,
    }


def _part_document(part: PartDifference) -> dict[str, object]:
    apart = part.distance
    return {
        "name": part.name,
        "first": part.first,
        "second": part.second,
        "distance": None if apart is None else {**asdict(apart), "absolute": _number(apart.absolute)},
    }


def _number(value: float | None) -> float | str | None:
    """Return a number that JSON has; infinity, which it lacks, is text."""
    return value if value is None or math.isfinite(value) else str(value)


def _parting_document(found: Parting) -> dict[str, object]:
    return {
        "run": found.run,
        "process": found.process,
        "how": found.how,
        "compared": found.compared,
        "first": None if found.first is None else found.first.as_dict(),
        "second": None if found.second is None else found.second.as_dict(),
        "reason": found.reason,
    }


def _numerics(records: tuple[RunRecord, ...]) -> Agreement | None:
    found = tuple(record.fingerprint for record in records if record.fingerprint is not None)
    return agree(found) if len(found) > 1 else None


def _numerics_document(found: Agreement) -> dict[str, object]:
    return {
        "compared": found.compared,
        "differing": list(found.differing),
        "unstable": list(found.unstable),
        "notes": list(found.notes),
    }


def _check_ended(record: RunRecord) -> None:
    if record.state == "running":
        raise InputError(
            "the run has not ended, or was killed with its container",
            where=record.run[:12],
            expected="a record whose state is finished, failed or killed",
            found="running",
            hint="its outputs were never hashed; run it again",
        )


def _outputs(records: tuple[RunRecord, ...], inside: tuple[Inside, ...]) -> Iterator[OutputComparison]:
    by_path = [{output.path: output for output in record.outputs} for record in records]
    for path in sorted(set().union(*by_path)):
        found = tuple(of_run.get(path) for of_run in by_path)
        looked = tuple(one for one in inside if one.path == path)
        hashes = tuple(output.sha256 if output else None for output in found)
        yield OutputComparison(path=path, match=_match(found, hashes, looked), sha256=hashes, inside=looked)


def _match(
    outputs: tuple[FileHash | None, ...], hashes: tuple[str | None, ...], inside: tuple[Inside, ...]
) -> Match:
    if not any(hashes):
        return "missing"
    if not all(hashes):
        return "not in all"
    if len(set(hashes)) == 1:
        return "equal"
    others = {number for number, sha256 in enumerate(hashes) if sha256 != hashes[0]}
    by_value = all(output is not None and output.compare != "bytes" for output in outputs)
    return "same values" if by_value and others == {one.run for one in inside if one.same} else "differ"
