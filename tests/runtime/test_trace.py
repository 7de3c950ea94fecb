"""Traces: the writer by jobs that call it, Keras simulated, then torch and Keras as they are."""

from pathlib import Path

import pytest

from envlock.replay.trace import reading
from envlock.runtime.record import RunRecord
from envlock.runtime.trace import event
from envlock.runtime.trace.event import Event
from tests.runtime.conftest import Done, FakeImage, make


def traced(image: FakeImage, code: str, level: str, *options: str, env: dict[str, str] | None = None) -> Done:
    (image.work / "run.yaml").write_text(f"envlock: 1\ndeterminism: {{trace: {level}}}\n")
    done = image.job(code, "--manifest", "run.yaml", *options, env=env)
    assert done.status == 0, done.stderr
    return done


def events(image: FakeImage, record: RunRecord) -> dict[str, list[Event]]:
    """Return the events of each process."""
    assert record.trace is not None
    directory = image.out / "records" / record.trace.directory
    return {
        event.process_of(one.path): list(reading.events(directory / one.path)) for one in record.trace.files
    }


def gaps(record: RunRecord) -> list[str]:
    return [one.reason for one in record.gaps if "trace" in one.subject]


def test_a_line_is_read_as_it_was_written() -> None:
    made = ("aten.add.Tensor", "float32[2,3]", "0123456789abcdef")
    assert event.parse(event.line(3, "op", "Net.fc", *made)[:-1]) == Event(3, "op", "Net.fc", *made)
    # A mapping's key may be any text.
    assert event.parse(event.line(1, "module", "Net", "a\tb\nc", *made[1:])[:-1]) == Event(
        1, "module", "Net", "a b c", *made[1:]
    )
    assert event.parse(event.header("ops", "rank/0")[:-1]) is None
    assert event.process_of(event.file_name("rank/0/proc/1")) == "rank/0/proc/1"


@pytest.mark.parametrize(
    "line", ["envlock-trace\t2\tops\trank/0", "1\top\tNet", "x\top\tN\tn\ts\td", "1\tsin\t\t\t\t"]
)
def test_a_line_that_is_none_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        event.parse(line)


WRITING = """
import multiprocessing, os
from envlock.runtime.trace import writer
def child():
    writer.write("op", "", "aten.child", "float32[]", "2" * 16)
writer.write("op", "Net", "aten.parent", "float32[]", "1" * 16)
writer.step()
with multiprocessing.get_context("fork").Pool(1) as pool:
    pass
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
writer.write("op", "Net", "aten.parent", "float32[]", "3" * 16)
"""


def test_each_process_writes_a_file_of_its_own(image: FakeImage) -> None:
    done = traced(image, WRITING, "ops")
    found = events(image, done.record)
    parent = found.pop("rank/0")
    assert [(one.step, one.digest) for one in parent] == [(1, "1" * 16), (2, "3" * 16)]
    ((child,),) = found.values()
    assert (child.step, child.name) == (1, "aten.child")
    assert not gaps(done.record)
    # Beside the records and no output: another run's is not the same file.
    assert not done.record.outputs


def test_many_lines_are_written_while_they_come(image: FakeImage) -> None:
    code = """
import glob, os
from envlock.runtime.trace import writer
for number in range(20_000):
    writer.write("op", "Net.layer", f"aten.{number}", "float32[64,128]", f"{number:016x}")
print(os.path.getsize(glob.glob(os.environ["ENVLOCK_TRACE_TO"] + "/*")[0]) > 0, flush=True)
os._exit(0)
"""
    done = traced(image, code, "ops")
    assert done.stdout == "True\n"
    (found,) = events(image, done.record).values()
    # The last ones, which nobody flushed, are missing; what is there is whole.
    assert 0 < len(found) < 20_000
    assert [one.name for one in found] == [f"aten.{number}" for number in range(len(found))]


def test_a_trace_that_cannot_be_written_is_a_gap_and_no_error(image: FakeImage) -> None:
    code = """
import os, shutil
from envlock.runtime.trace import writer
shutil.rmtree(os.environ["ENVLOCK_TRACE_TO"])
writer.write("op", "", "aten.add", "float32[]", "1" * 16)
writer.step()
writer.write("op", "", "aten.add", "float32[]", "1" * 16)
"""
    done = traced(image, code, "steps")
    assert "ends in step 1: No such file or directory" in gaps(done.record)


def test_a_job_in_which_nothing_is_traced_is_told(image: FakeImage) -> None:
    done = traced(image, "print(1)", "steps")
    (reason,) = gaps(done.record)
    assert reason.startswith("nothing was traced: ")
    assert done.record.trace is not None
    assert done.record.trace.files == ()


def test_a_run_whose_records_have_no_place_goes_on_without_a_trace(image: FakeImage) -> None:
    (image.out / "records").write_text("no directory")
    kept = image.tmp / "record.json"
    done = traced(image, "import os; print('ENVLOCK_TRACE' in os.environ)", "ops", "--record", str(kept))
    assert done.stdout == "False\n"


def test_without_a_trace_the_users_own_variables_begin_none(image: FakeImage) -> None:
    done = image.job("import os; print('ENVLOCK_TRACE_TO' in os.environ)", env={"ENVLOCK_TRACE_TO": "/tmp"})  # noqa: S108 - never written
    assert done.stdout == "False\n"
    assert done.record.trace is None


FAKE_KERAS = """
from types import SimpleNamespace
backend = SimpleNamespace(backend=lambda: {backend!r})
class CallbackList:
    def __init__(self, model):
        self.model = model
    def on_train_batch_end(self, batch, logs=None):
        return batch, logs
"""
FITTING = """
from types import SimpleNamespace
import numpy
from keras.src.callbacks import callback_list
kernel = SimpleNamespace(path="dense/kernel", numpy=lambda: numpy.ones((2, 3), "float32"))
model = SimpleNamespace(name="functional", variables=[kernel])
print(callback_list.CallbackList(model).on_train_batch_end(0, {"loss": 1}))
print(callback_list.CallbackList(model).on_train_batch_end(1))
print(callback_list.CallbackList(SimpleNamespace(name="broken")).on_train_batch_end(2))
"""


def fake_keras(image: FakeImage, backend: str) -> None:
    package = image.packages / "keras" / "src" / "callbacks"
    package.mkdir(parents=True)
    (package / "callback_list.py").write_text(FAKE_KERAS.format(backend=backend))


def test_keras_variables_are_traced_after_each_batch(image: FakeImage) -> None:
    fake_keras(image, "tensorflow")
    done = traced(image, FITTING, "steps")
    assert done.stdout == "(0, {'loss': 1})\n(1, None)\n(2, None)\n"
    (found,) = events(image, done.record).values()
    assert [(one.step, one.kind, one.where, one.name, one.shape) for one in found] == [
        (step, "parameter", "functional", "dense/kernel", "float32[2,3]") for step in (1, 2)
    ]
    # A failure of ours ends the trace, not the job.
    assert gaps(done.record) == [
        "ends in step 3: AttributeError: 'types.SimpleNamespace' object has no attribute 'variables'"
    ]


@pytest.mark.parametrize(("backend", "level"), [("jax", "steps"), ("tensorflow", "none")])
def test_keras_is_left_as_it_is_where_there_is_no_trace(image: FakeImage, backend: str, level: str) -> None:
    fake_keras(image, backend)
    record = traced(image, FITTING, level).record
    assert record.trace is None or not record.trace.files


@pytest.fixture
def frameworks(tmp_path: Path, frameworks_python: str) -> FakeImage:
    return make(tmp_path / "frameworks", frameworks_python)


TRAINING = """
import os, sys
import torch
from torch import nn
class Data(torch.utils.data.Dataset):
    def __len__(self): return 24
    def __getitem__(self, index): return torch.randn(16), index % 4
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(16, 32), nn.Linear(32, 4)
    def forward(self, x):
        return {"scores": self.second(nn.functional.dropout(self.first(x).relu(), 0.1)), "none": None}
net = Net()
optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
step = 0
for epoch in range(2):
    for x, y in torch.utils.data.DataLoader(Data(), batch_size=8, shuffle=True, num_workers=2):
        step += 1
        if os.environ.get("NUDGE") and step == 4:
            net.second.weight.data[0, 0] += 1e-6
        loss = nn.functional.cross_entropy(net(x)["scores"], y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print([float(one.sum()) for one in net.parameters()])
"""


@pytest.mark.slow
@pytest.mark.parametrize("level", ["steps", "modules", "ops"])
def test_a_training_is_traced_alike_in_two_runs_and_not_changed(frameworks: FakeImage, level: str) -> None:
    plain = frameworks.job(TRAINING, "--seed", "1")
    first, second = (traced(frameworks, TRAINING, level, "--seed", "1") for _ in range(2))
    assert plain.stdout == first.stdout == second.stdout
    assert events(frameworks, first.record) == events(frameworks, second.record)
    assert not gaps(first.record)
    found = events(frameworks, first.record)["rank/0"]
    parameters = ["first.weight", "first.bias", "second.weight", "second.bias"]
    assert [one.name for one in found if one.kind == "parameter"] == parameters * 6
    assert [one.name for one in found if one.kind == "gradient"] == parameters[::-1] * 6
    # The operations after the last step are of one that never ends.
    assert {one.step for one in found} - {7} == {1, 2, 3, 4, 5, 6}
    modules = [(one.where, one.name) for one in found if one.kind == "module"]
    assert modules == (
        [] if level == "steps" else [("Net.first", ""), ("Net.second", ""), ("Net", "scores")] * 6
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "kind", "where", "name"),
    [
        ("steps", "gradient", "AdamW", "second.bias"),
        ("modules", "module", "Net.second", ""),
        ("ops", "op", "Net.second", "aten.addmm.default"),
    ],
)
def test_the_first_tensor_that_differs_is_found(
    frameworks: FakeImage, level: str, kind: str, where: str, name: str
) -> None:
    # The nudge is one more operation: at the level of operations both runs have it, with another amount.
    code = TRAINING.replace("1e-6", "float(os.environ['NUDGE'])")
    first, second = (
        traced(frameworks, code, level, "--seed", "1", env={"NUDGE": by}) for by in ("0", "1e-6")
    )
    one, other = (events(frameworks, done.record)["rank/0"] for done in (first, second))
    found = next((a, b) for a, b in zip(one, other, strict=True) if a != b)
    if level == "ops":
        # The nudge itself, before the layer that multiplies by what it changed.
        assert found[0].name == "aten.add_.Tensor"
        layers = [
            pair for pair in zip(one, other, strict=True) if pair[0].where == where and pair[0].kind == kind
        ]
        found = next((a, b) for a, b in layers if a != b)
    assert {(part.step, part.kind, part.where, part.name) for part in found} == {(4, kind, where, name)}


@pytest.mark.slow
def test_what_cannot_be_traced_does_not_disturb_the_job(frameworks: FakeImage) -> None:
    """Sparse tensors, vmap's, several threads, a module that raises."""
    code = """
import threading
import torch
from torch import nn
net = nn.Linear(3, 3)
def fails(*_): raise KeyError("the job's own")
print(torch.eye(3).to_sparse() + torch.eye(3).to_sparse(), torch.vmap(torch.sin)(torch.ones(2)))
class Broken(nn.Module):
    forward = fails
try:
    Broken()(torch.ones(3))
except KeyError as error:
    print(error)
threads = [threading.Thread(target=net, args=(torch.ones(2, 3),)) for _ in range(4)]
[one.start() for one in threads]
[one.join() for one in threads]
nn.Sequential(net)(torch.ones(1, 3, dtype=torch.float32)).sum().backward()
print(net.weight.grad.sum(), torch.ones(2, dtype=torch.complex64).conj(), torch.empty(0))
"""
    plain, done = frameworks.job(code, "--seed", "1"), traced(frameworks, code, "ops", "--seed", "1")
    assert done.stdout == plain.stdout
    assert not gaps(done.record)
    found = events(frameworks, done.record)["rank/0"]
    assert {one.digest == event.UNREAD for one in found} == {True, False}


@pytest.mark.slow
def test_keras_as_it_is(frameworks: FakeImage) -> None:
    code = """
import numpy as np, keras
model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(np.random.rand(32, 4), np.random.rand(32), batch_size=8, verbose=0)
"""
    first, second = (traced(frameworks, code, "steps", "--seed", "1") for _ in range(2))
    assert events(frameworks, first.record) == events(frameworks, second.record)
    found = events(frameworks, first.record)["rank/0"]
    assert {one.step for one in found} == {1, 2, 3, 4}
    assert "sequential/dense/kernel" in {one.name for one in found}
