"""Where a run's output files are, by their hashes: a record holds no path of a machine, so it can't say."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

from envlock.host.files import file_digest
from envlock.runtime.record import FileHash

_WORK: Final = PurePosixPath("/work")
_OUT: Final = (PurePosixPath("/work/out"), PurePosixPath("/out"))
_RECORDS: Final = "records"


def find(output: FileHash, record: Path, outputs: Path | None) -> Path | None:
    """Return the file that ``output`` of the run with this record is; None where it is not found.

    It is looked for in ``outputs``, which was the run's ``--out``; where that is None, around the record:
    where `envlock run` and `envlock replay` put both, beside the record, in a directory of its name, and in
    every other beside it. Only a file with the recorded hash is the one.
    """
    places = (place for out in directories(record, outputs) for place in _candidates(output, out))
    return next((place for place in places if is_recorded(place, output)), None)


def directories(record: Path, outputs: Path | None) -> Iterator[Path]:
    """Yield what may have been the run's ``--out``: ``outputs`` or, where that is None, what is around."""
    if outputs:
        yield outputs
    else:
        yield from _around(record.absolute())


def is_recorded(path: Path, file: FileHash) -> bool:
    """Whether ``path`` is a file with the recorded hash."""
    return path.is_file() and path.stat().st_size == file.size and file_digest(path).hex == file.sha256


def _around(record: Path) -> Iterator[Path]:
    if record.parent.name == _RECORDS:
        yield record.parent.parent
    near = (record.with_suffix(""), record.parent / "out", record.parent)
    yield from near
    with suppress(PermissionError):
        # Not twice in the near ones: a file of the right size and other bytes would be hashed again.
        yield from sorted(one for one in record.parent.iterdir() if one.is_dir() and one not in near)


def _candidates(output: FileHash, out: Path) -> Iterator[Path]:
    """Yield where ``output`` may lie when the run's ``--out`` was ``out``."""
    path = _WORK / output.path
    above = next((place for place in _OUT if path.is_relative_to(place)), None)
    if above is not None:
        yield out / path.relative_to(above)
    elif path.is_relative_to(_WORK):
        # In the working directory, which has out in it; a replay sets such files aside in its own directory.
        inside = path.relative_to(_WORK)
        yield from (out.parent / inside, out / "work" / inside, out / inside)
