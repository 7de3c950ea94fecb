"""Where two traced runs part: events as values, then files beside records."""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner

from envlock.cli.compare import command
from envlock.replay.recorded import Recorded
from envlock.replay.trace.parting import Parting, part
from envlock.replay.trace.reading import partings
from envlock.runtime import record as records
from envlock.runtime.record import FileHash, Trace
from envlock.runtime.trace import event
from envlock.runtime.trace.event import Event
from tests.replay.conftest import record

ADD = Event(1, "op", "Net.fc", "aten.add.Tensor", "float32[2]", "a" * 16)
MUL = Event(2, "op", "", "aten.mul.Tensor", "float32[2]", "b" * 16)


def test_equal_traces_are_alike() -> None:
    assert part(1, "rank/0", [ADD, MUL], [ADD, MUL]) == Parting(
        run=1, process="rank/0", how="alike", compared=2
    )


def test_the_first_tensor_with_other_bytes_is_found() -> None:
    other = MUL.replace(digest="c" * 16)
    found = part(1, "rank/0", [ADD, MUL, MUL], [ADD, other, ADD])
    assert (found.how, found.compared, found.first, found.second) == ("values", 1, MUL, other)


def test_runs_that_compute_something_else_part_there() -> None:
    found = part(2, "rank/0", [ADD, MUL], [MUL])
    assert (found.run, found.how, found.first, found.second) == (2, "another tensor", ADD, MUL)
    assert part(1, "rank/0", [ADD], [ADD.replace(step=2)]).how == "another tensor"


def test_a_run_that_computes_no_more_is_told() -> None:
    found = part(1, "rank/0", [ADD], [ADD, MUL])
    assert (found.how, found.compared, found.first, found.second) == ("ends", 1, None, MUL)


def test_a_tensor_without_bytes_is_no_difference() -> None:
    assert part(1, "rank/0", [ADD], [ADD.replace(digest=event.UNREAD)]).how == "alike"


def text(events: Iterable[Event], level: str = "ops") -> bytes:
    lines = (event.line(*(getattr(one, name) for name in Event.__annotations__)) for one in events)
    return "".join((event.header(level, "rank/0"), *lines)).encode()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Recorded]:
    """Lay down a run of which each process has the file given for it."""

    def laid(name: str, level: str = "ops", **files: bytes) -> Recorded:
        out = tmp_path / name
        directory = out / "records" / "exp.trace"
        directory.mkdir(parents=True)
        hashes = []
        for process, data in files.items():
            path = directory / event.file_name(process.replace("_", "/"))
            path.write_bytes(data)
            hashes.append(FileHash(path.name, hashlib.sha256(data).hexdigest(), len(data)))
        made = record(
            run=name * 32,
            trace=Trace(level, "exp.trace", tuple(hashes)),
            outputs=(FileHash("out/x", name * 64, 1),),
        )
        file = out / "records" / "exp.json"
        file.write_bytes(records.to_json(made))
        return Recorded(record=records.parse(file.read_bytes(), "r"), file=file)

    return laid


def test_traces_beside_the_records_are_compared(run: Callable[..., Recorded]) -> None:
    whole = gzip.compress(text([ADD])) + gzip.compress(text([MUL]))
    first = run("a", rank_0=whole, rank_0_proc_0=whole)
    second = run("b", rank_0=gzip.compress(text([ADD, MUL.replace(digest="c" * 16)])), rank_0_proc_0=whole)
    assert [(one.process, one.how) for one in partings([first, second])] == [
        ("rank/0", "values"),
        ("rank/0/proc/0", "alike"),
    ]


def test_what_a_killed_process_left_is_read_up_to_its_end(run: Callable[..., Recorded]) -> None:
    whole = gzip.compress(text([ADD] * 3000))
    (found,) = partings([run("a", rank_0=whole), run("b", rank_0=whole[: len(whole) // 2])])
    assert found.how == "ends"
    assert 0 < found.compared < 3000


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no gzip", "not a trace: "),
        (gzip.compress(b"1\tsin\n"), "not a trace: 1\tsin"),
        (gzip.compress(b"envlock-trace\t9\tops\trank/0\n"), "not a trace: trace format 9"),
    ],
    ids=["no gzip", "no heading", "newer format"],  # gzip writes the time, and a test's name must not hold it
)
def test_a_file_that_is_no_trace_is_told(run: Callable[..., Recorded], data: bytes, reason: str) -> None:
    (found,) = partings([run("a", rank_0=gzip.compress(text([ADD]))), run("b", rank_0=data)])
    assert found.how == "unread"
    assert found.reason.startswith(reason)


def test_what_is_not_there_is_told(run: Callable[..., Recorded]) -> None:
    whole = gzip.compress(text([ADD]))
    first, second = run("a", rank_0=whole, rank_0_proc_0=whole), run("b", rank_0=whole)
    (second.file.parent / "exp.trace" / "rank-0.trace.gz").unlink()
    assert [(one.process, one.reason) for one in partings([first, second])] == [
        ("rank/0", "its file is not beside the record"),
        ("rank/0/proc/0", "traced in one run only"),
    ]


def test_traces_of_two_levels_are_not_compared(run: Callable[..., Recorded]) -> None:
    whole = gzip.compress(text([ADD]))
    (found,) = partings([run("a", rank_0=whole), run("b", "steps", rank_0=whole)])
    assert found.reason == "traced at other levels: ops and steps"


def test_a_run_without_a_trace_has_nothing_to_compare(run: Callable[..., Recorded]) -> None:
    plain = Recorded(record=record(), file=Path("none.json"))
    assert partings([run("a", rank_0=b""), plain]) == ()


TOLD = {
    "input": "input 0 of Net, float32[2], differs",
    "op": "aten.add.Tensor in Net, float32[2], differs",
    "module": "the result of Net, float32[2], differs",
    "gradient": "the gradient of fc.bias before the step of AdamW, float32[2], differs",
    "parameter": "fc.bias after the step of AdamW, float32[2], differs",
}
WHERE = {"gradient": ("AdamW", "fc.bias"), "parameter": ("AdamW", "fc.bias"), "module": ("Net", "")}


@pytest.mark.parametrize("kind", event.KINDS)
def test_compare_says_which_tensor_differs_first(run: Callable[..., Recorded], kind: str) -> None:
    where, name = WHERE.get(kind, ("Net", "0" if kind == "input" else "aten.add.Tensor"))
    found = Event(3, kind, where, name, "float32[2]", "a" * 16)
    runs = [run(one, rank_0=gzip.compress(text([ADD, found.replace(digest=one * 16)]))) for one in ("a", "b")]
    done = CliRunner().invoke(command, [str(one.file) for one in runs], standalone_mode=False)
    assert done.return_value == 1
    assert f"trace  rank/0: after 1 tensor alike, step 3: {TOLD[kind]}\n" in done.stdout
    shown = json.loads(
        CliRunner()
        .invoke(command, ["--json", *(str(one.file) for one in runs)], standalone_mode=False)
        .stdout
    )
    (parting,) = shown["trace"]
    assert (parting["how"], parting["first"]["step"], parting["second"]["digest"]) == ("values", 3, "b" * 16)


def test_compare_says_how_runs_part_otherwise(run: Callable[..., Recorded]) -> None:
    files = {
        "rank_0": ([ADD, MUL], [ADD, ADD]),
        "rank_0_proc_0": ([ADD], [ADD]),
        "rank_0_proc_1": ([ADD, MUL], [ADD]),
    }
    runs = [
        run(name, **{one: gzip.compress(text(both[number])) for one, both in files.items()})
        for number, name in enumerate(("a", "b"))
    ]
    told = CliRunner().invoke(command, [str(one.file) for one in runs], standalone_mode=False).stdout
    assert (
        "rank/0: after 1 tensor alike, run 1 has step 2, aten.mul.Tensor in no module, float32[2]; "
        "run 2 has step 1, aten.add.Tensor in Net.fc, float32[2]\n"
    ) in told
    assert "run 1 has step 2, aten.mul.Tensor in no module, float32[2]; run 2 has nothing\n" in told
    assert "rank/0/proc/0: all 1 tensor alike: what differs comes after them" in told


def test_many_processes_are_counted(run: Callable[..., Recorded]) -> None:
    whole = gzip.compress(text([ADD]))
    files = {f"rank_0_proc_{number}": whole for number in range(7)}
    runs = [run(name, **files) for name in ("a", "b")]
    told = CliRunner().invoke(command, [str(one.file) for one in runs], standalone_mode=False).stdout
    assert "and 2 more processes: --json lists them all" in told
