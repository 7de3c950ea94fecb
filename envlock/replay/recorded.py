"""A run as it lies on this machine: its record, and where its outputs may be."""

from dataclasses import dataclass
from pathlib import Path

from envlock.runtime.record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A record, its file, and the directory that was the run's ``--out`` (None: around the file)."""

    record: RunRecord
    file: Path
    out: Path | None = None
