"""What a look inside two outputs found. Pure values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """How two tensors of one type and shape differ.

    ``elements`` of ``of`` have other bits. ``ulp`` and ``absolute`` are the largest distances between two
    numbers (the parts of complex ones apart); None where the type has none, or where each differing pair has
    a NaN. ``nan`` counts the pairs of which exactly one is a NaN.
    """

    elements: int
    of: int
    ulp: int | None
    absolute: float | None
    nan: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartDifference:
    """A tensor or a key that differs.

    ``first`` and ``second`` are a tensor's type and shape, or a value as JSON has it; None where that file
    has no such part. ``distance`` is there where both are numbers of one type and shape.
    """

    name: str
    first: str | None
    second: str | None
    distance: Distance | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """One output of a run beside the first run's, whose bytes are others.

    ``run`` is the run's place among the records, from 1 (0 is the first run). ``differing`` are those of
    ``parts`` that differ, in the file's order; none of them: another wrapping of the same values.
    ``unread`` is why the files could not be compared; None where they were.
    """

    path: str
    run: int
    parts: int = 0
    differing: tuple[PartDifference, ...] = ()
    unread: str | None = None

    @property
    def same(self) -> bool:
        """Say whether both hold the same values, to the bit."""
        return self.unread is None and not self.differing
