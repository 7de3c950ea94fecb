"""Whether runs gave the same results and, where they did not, what else was not the same.

Pure: records in, a :class:`Comparison` out. Rules kept here:

* Results are exit status and outputs; they decide the verdict. Everything else is context, which
  explains a verdict and never makes it.
* Without a single hashed output there is nothing to judge: an error, never ``identical``.
* A fact that some records lack (an image's digest, under plain ``docker run``) is no difference.
* The verdict does not depend on the records' order.
* Where at least two records hold a numerics fingerprint, these are compared: they tell a host that
  computes otherwise from a seed, an input or a job that is not the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from envlock.replay.context import Difference, differences
from envlock.runtime.errors import InputError
from envlock.runtime.fingerprint.agreement import Agreement, agree
from envlock.runtime.record import RunRecord

Verdict = Literal["identical", "different"]
Match = Literal["equal", "differ", "not in all", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputComparison:
    """One output in every record: ``sha256`` in the records' order, None where a run did not write it.

    ``missing`` is an output that the manifest declares and no run wrote.
    """

    path: str
    match: Match
    sha256: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The verdict on two or more records, with what it stands on, in the records' order."""

    verdict: Verdict
    runs: tuple[str, ...]
    exit_statuses: tuple[int | None, ...]
    outputs: tuple[OutputComparison, ...]
    differences: tuple[Difference, ...]
    numerics: Agreement | None
    """How the fingerprints compare; None where fewer than two records hold one."""

    @property
    def unequal(self) -> tuple[OutputComparison, ...]:
        """The outputs that are not the same in all records."""
        return tuple(output for output in self.outputs if output.match in ("differ", "not in all"))


def compare(records: tuple[RunRecord, ...]) -> Comparison:
    """Compare two or more records.

    Raises InputError for a run that did not end, and when no record has a hashed output.
    """
    for record in records:
        _check_ended(record)
    outputs = tuple(_outputs(records))
    if not any(any(output.sha256) for output in outputs):
        raise InputError(
            "nothing to compare",
            where=", ".join(record.run[:12] for record in records),
            expected="at least one hashed output",
            found="none",
            hint="declare `outputs:` in the run manifest, or let the job write to /out",
        )
    statuses = tuple(record.exit_status for record in records)
    same = len(set(statuses)) == 1 and all(output.match in ("equal", "missing") for output in outputs)
    return Comparison(
        verdict="identical" if same else "different",
        runs=tuple(record.run for record in records),
        exit_statuses=statuses,
        outputs=outputs,
        differences=differences(records),
        numerics=_numerics(records),
    )


def to_document(comparison: Comparison) -> dict[str, object]:
    """Return the comparison as JSON has it."""
    return {
        "verdict": comparison.verdict,
        "runs": list(comparison.runs),
        "exit-statuses": list(comparison.exit_statuses),
        "outputs": [
            {"path": output.path, "match": output.match, "sha256": list(output.sha256)}
            for output in comparison.outputs
        ],
        "differences": [
            {"subject": difference.subject, "values": list(difference.values)}
            for difference in comparison.differences
        ],
        "numerics": None if comparison.numerics is None else _numerics_document(comparison.numerics),
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


def _outputs(records: tuple[RunRecord, ...]) -> Iterator[OutputComparison]:
    hashes = [{output.path: output.sha256 for output in record.outputs} for record in records]
    for path in sorted(set().union(*hashes)):
        found = tuple(of_run.get(path) for of_run in hashes)
        yield OutputComparison(path=path, match=_match(found), sha256=found)


def _match(hashes: tuple[str | None, ...]) -> Match:
    if not any(hashes):
        return "missing"
    if not all(hashes):
        return "not in all"
    return "equal" if len(set(hashes)) == 1 else "differ"
