"""Reading the traces that a record names, from the files beside it."""

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from envlock.replay.contents.places import directories, is_recorded
from envlock.replay.recorded import Recorded
from envlock.replay.trace.parting import Parting, part
from envlock.runtime import outputs
from envlock.runtime.record import Trace
from envlock.runtime.trace import event
from envlock.runtime.trace.event import Event

_PIECE: Final = 1 << 20
_GZIP: Final = 31


def partings(runs: Sequence[Recorded]) -> tuple[Parting, ...]:
    """Compare each run's traces with the first's, process by process; nothing where not all were traced."""
    if not all(run.record.trace for run in runs):
        return ()
    return tuple(
        parting
        for number, run in enumerate(runs[1:], start=1)
        for parting in _partings(number, _Traces(runs[0]), _Traces(run))
    )


class _Traces:
    """The traces of one run: which processes have one, and their events."""

    def __init__(self, run: Recorded) -> None:
        trace = run.record.trace or Trace("none", "")
        self.level = trace.level
        self.files = {event.process_of(one.path): one for one in trace.files}
        outs = tuple(directories(run.file, run.out))
        self._directories = [
            place / trace.directory for out in outs for place in (out / outputs.RECORDS, out)
        ]

    def find(self, process: str) -> Path | None:
        """Return the file of ``process``, with the recorded hash; None where it is not found."""
        file = self.files[process]
        candidates = (directory / file.path for directory in self._directories)
        return next((path for path in candidates if is_recorded(path, file)), None)


def _partings(run: int, first: _Traces, second: _Traces) -> Iterator[Parting]:
    if first.level != second.level:
        reason = f"traced at other levels: {first.level} and {second.level}"
        yield Parting(run=run, process="", how="unread", reason=reason)
        return
    # The main process of each rank before its children: their tensors come from what it did.
    for process in sorted({*first.files, *second.files}, key=lambda name: (name.count("/"), name)):
        if not (process in first.files and process in second.files):
            yield Parting(run=run, process=process, how="unread", reason="traced in one run only")
            continue
        paths = first.find(process), second.find(process)
        if paths[0] is None or paths[1] is None:
            yield Parting(run=run, process=process, how="unread", reason="its file is not beside the record")
            continue
        try:
            yield part(run, process, events(paths[0]), events(paths[1]))
        except (ValueError, OSError, zlib.error) as error:
            yield Parting(run=run, process=process, how="unread", reason=f"not a trace: {error}")


def events(path: Path) -> Iterator[Event]:
    """Yield the events of a trace file, up to where it ends. Raises ValueError, OSError and zlib.error."""
    left = b""
    for piece in _inflated(path):
        *lines, left = (left + piece).split(b"\n")
        for line in lines:
            found = event.parse(line.decode("utf-8", "replace"))
            if found is not None:
                yield found


def _inflated(path: Path) -> Iterator[bytes]:
    """Yield what a gzip file of several members holds; the last one may lack its end."""
    member = zlib.decompressobj(_GZIP)
    with path.open("rb") as stream:
        for piece in iter(lambda: stream.read(_PIECE), b""):
            data = piece
            while data:
                yield member.decompress(data)
                data = member.unused_data
                if member.eof:
                    member = zlib.decompressobj(_GZIP)
