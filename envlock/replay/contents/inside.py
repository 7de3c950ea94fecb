"""Which outputs are worth a look inside, and what is found there."""

from collections.abc import Iterator, Sequence

from envlock.replay.contents import files, places
from envlock.replay.contents.findings import Inside
from envlock.replay.recorded import Recorded
from envlock.runtime.record import FileHash


def inside(runs: Sequence[Recorded]) -> Iterator[Inside]:
    """Yield what is inside each output of a run whose bytes are not those of the first run.

    An output of a kind that is not read is passed over, unless the manifest asks for more than its bytes.
    """
    first, *others = runs
    for one in _written(first):
        for number, other in enumerate(others, 1):
            second = next((found for found in _written(other) if found.path == one.path), one)
            if second.sha256 != one.sha256 and (files.is_read(one.path) or one.compare != "bytes"):
                yield _looked(number, (first, one), (other, second))


def _written(run: Recorded) -> Iterator[FileHash]:
    return (output for output in run.record.outputs if output.sha256 is not None)


def _looked(number: int, *outputs: tuple[Recorded, FileHash]) -> Inside:
    path = outputs[0][1].path
    found = [places.find(output, run.file, run.out) for run, output in outputs]
    lacking = [run.file for place, (run, _) in zip(found, outputs, strict=True) if place is None]
    if lacking:
        told = ", ".join(map(str, lacking))
        reason = f"no file with the recorded hash was found for {told} (`compare --outputs` names its place)"
        return Inside(path=path, run=number, unread=reason)
    first, second = (place for place in found if place is not None)
    return files.look(path, number, first, second)
