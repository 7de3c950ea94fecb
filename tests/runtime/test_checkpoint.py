"""A job that stops and goes on gives what it would have given; a file that is not right is refused."""

import hashlib
import io
import json
import random
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from envlock.runtime import checkpoint
from envlock.runtime.checkpoint import generators
from envlock.runtime.errors import EnvlockError, InputError, IntegrityError
from tests.runtime.conftest import FakeImage

# Epochs of batches in random order, every source of randomness, a worker process an epoch; ends at
# a step, as a job that is preempted does, when it is told one.
JOB = """
import json, multiprocessing, os, random, sys
import numpy as np
from envlock.runtime import checkpoint, seeds

class Shuffled:
    def __iter__(self):
        yield from np.random.permutation(6).tolist()

def in_worker(queue):
    queue.put(np.random.default_rng().random())

def worker():
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=in_worker, args=(queue,))
    process.start()
    value = queue.get()
    process.join()
    return value

stop = int(sys.argv[1])
own, legacy, standard = seeds.generator("own"), np.random.RandomState(3), random.Random(4)
batches = checkpoint.Batches(Shuffled())
objects = dict(own=own, legacy=legacy, standard=standard, batches=batches)
data = {"epoch": 0, "step": 0, "weights": np.zeros(3)}
if os.path.exists("/CHECKPOINT"):
    data = checkpoint.load("/CHECKPOINT", **objects)
weights, step = data["weights"], data["step"]
for epoch in range(data["epoch"], 3):
    for batch in batches:
        step += 1
        drawn = [random.random(), np.random.rand(), np.random.default_rng().random(), own.normal(),
                 legacy.rand(), standard.gauss(0, 1), random.Random().random(), worker(), float(batch)]
        print(step, json.dumps(drawn), flush=True)
        weights = weights * 0.9 + np.array(drawn[:3])
        checkpoint.save("/CHECKPOINT", {"epoch": epoch, "step": step, "weights": weights}, **objects)
        if step == stop:
            sys.exit(9)
print("end", weights.tolist())
"""


@pytest.mark.parametrize("stop", [1, 8, 12])
def test_a_job_that_stopped_and_went_on_gives_the_same_bits(image: FakeImage, stop: int) -> None:
    def job(stop: int, path: Path) -> tuple[int, str]:
        (image.work / "job.py").write_text(JOB.replace("/CHECKPOINT", str(path)))
        done = image.run("--seed", "42", "--", "python", "job.py", str(stop))
        assert "Error" not in done.stderr, done.stderr
        return done.status, done.stdout

    _, whole = job(0, image.out / "whole")
    status, first = job(stop, image.out / "parts")
    again, second = job(0, image.out / "parts")
    assert (status, again) == (9, 0)
    assert first.splitlines()[-1].startswith(f"{stop} ")
    assert first + second == whole
    assert (image.out / "whole").read_bytes() == (image.out / "parts").read_bytes()


def test_a_run_that_goes_on_says_so_in_its_record(image: FakeImage) -> None:
    code = "from envlock.runtime import checkpoint\ncheckpoint.save('c')\ncheckpoint.load('c')\n"
    done = image.job(code)
    assert done.record.gaps[0].reason.startswith("goes on from a checkpoint, sha256 ")


@pytest.mark.parametrize("kind", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_every_generator_of_numpy_goes_on(tmp_path: Path, kind: str) -> None:
    bit_generator = getattr(np.random, kind)
    first, second = (np.random.Generator(bit_generator(seed)) for seed in (1, 2))
    first.integers(10, size=3, dtype="uint32")
    checkpoint.save(str(tmp_path / "c"), generator=first)
    expected = first.random(5)
    checkpoint.load(str(tmp_path / "c"), generator=second)
    assert second.random(5).tolist() == expected.tolist()


def test_data_comes_back_as_it_was(tmp_path: Path) -> None:
    data = {
        "none": None,
        "large": 2**200,
        "small": 5e-324,
        "text": "données",
        "list": [1, (2.5, True)],
        "array": np.arange(6, dtype="int16").reshape(2, 3),
        "scalar": np.float32(0.1),
    }
    path = str(tmp_path / "below" / "c")
    checkpoint.save(path, data)
    found = checkpoint.load(path)
    array, scalar = found.pop("array"), found.pop("scalar")
    assert found == {
        **{key: data[key] for key in ("none", "large", "small", "text")},
        "list": [1, [2.5, True]],
    }
    assert (array.dtype, array.tolist()) == (np.dtype("int16"), [[0, 1, 2], [3, 4, 5]])
    assert (scalar.dtype, scalar.shape, scalar == np.float32(0.1)) == (np.dtype("float32"), (), True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": [1, object()]}, r"data\.a\[1\]: expected plain data and arrays, found object"),
        ({"a": {1: 2}}, r"data\.a: expected text as key, found 1"),
        ({"$array": 2}, r"data: expected text as key"),
        (np.array([object()]), "data: expected an array of numbers"),
        (np.zeros(2, ">f4"), "byte order, found >f4"),
    ],
)
def test_what_cannot_be_kept_is_refused_before_anything_is_written(
    tmp_path: Path, data: object, message: str
) -> None:
    path = tmp_path / "c"
    checkpoint.save(str(path), 1)
    before = path.read_bytes()
    with pytest.raises(InputError, match=message):
        checkpoint.save(str(path), data)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_object_without_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="model: expected state_dict"):
        checkpoint.save(str(tmp_path / "c"), model=object())
    with pytest.raises(InputError, match="model"):
        checkpoint.save(str(tmp_path / "c"), model=SimpleNamespace(variables=3))


def damaged(at: float) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        place = int(len(data) * at)
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return change


def with_manifest(**changes: object) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
            text = json.dumps({**json.loads(old.read("manifest.json")), **changes})
            new.writestr("manifest.json", text)
            new.comment = hashlib.sha256(text.encode()).hexdigest().encode()
        return made.getvalue()

    return change


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda data: data[:-100], InputError),
        (lambda data: b"", InputError),
        (damaged(0.01), (InputError, IntegrityError)),
        (damaged(0.1), IntegrityError),
        (damaged(0.9), (InputError, IntegrityError)),
        (with_manifest(**{"envlock-checkpoint": 2}), InputError),
        (with_manifest(members={"0": {"sha256": "0" * 64}}), IntegrityError),
    ],
)
def test_a_file_that_is_not_whole_changes_nothing(
    tmp_path: Path, change: Callable[[bytes], bytes], error: type[EnvlockError]
) -> None:
    path = tmp_path / "c"
    own = np.random.default_rng(1)
    checkpoint.save(str(path), np.zeros(5000), own=own)
    path.write_bytes(change(path.read_bytes()))
    before = (random.getstate(), own.bit_generator.state)
    with pytest.raises(error):
        checkpoint.load(str(path), own=own)
    assert (random.getstate(), own.bit_generator.state) == before


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "c")
    own = np.random.default_rng(1)
    monkeypatch.setenv("ENVLOCK_SEED", "42")
    checkpoint.save(path, {"epoch": 3}, own=own)
    monkeypatch.setenv("ENVLOCK_SEED", "43")
    with pytest.raises(InputError, match="master: expected '42', found '43'") as caught:
        checkpoint.load(path, own=own)
    assert "exactly=False" in str(caught.value.hint)
    assert checkpoint.load(path, exactly=False, own=own) == {"epoch": 3}


def test_a_checkpoint_of_other_versions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    checkpoint.save(str(path))
    path.write_bytes(with_manifest(versions={"numpy": "1.0"})(path.read_bytes()))
    with pytest.raises(InputError, match=r"numpy: expected '1\.0', found"):
        checkpoint.load(str(path))


def test_other_objects_than_were_saved_are_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "c")
    checkpoint.save(path, own=np.random.default_rng(1))
    with pytest.raises(InputError, match="expected own, found none"):
        checkpoint.load(path)
    with pytest.raises(InputError, match="expected a numpy generator, found Random"):
        checkpoint.load(path, own=random.Random(1))


class Loader:
    generator = None
    persistent_workers = True

    def __len__(self) -> int:
        return 3


def test_persistent_workers_are_refused_and_a_loaders_length_is_its_own() -> None:
    loader = Loader()
    with pytest.raises(InputError, match="persistent_workers=False"):
        checkpoint.Batches(loader)
    loader.persistent_workers = False
    assert len(checkpoint.Batches(loader)) == 3


class Variable:
    """A variable of TensorFlow, as far as it is used."""

    def __init__(self, value: list[float]) -> None:
        self.assign(value)

    def assign(self, value: object) -> None:
        self.value = np.asarray(value)
        self.shape = self.value.shape

    def __array__(self, *_: object, **__: object) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
        return self.value


def test_variables_go_back_into_an_object_that_is_built(tmp_path: Path) -> None:
    path = str(tmp_path / "c")
    saved = SimpleNamespace(variables=[Variable([1.0, 2.0])])
    checkpoint.save(path, model=saved, generator=SimpleNamespace(state=Variable([7.0])))
    model, generator = (
        SimpleNamespace(variables=[Variable([0.0, 0.0])]),
        SimpleNamespace(state=Variable([0.0])),
    )
    checkpoint.load(path, model=model, generator=generator)
    assert (model.variables[0].value.tolist(), generator.state.value.tolist()) == ([1.0, 2.0], [7.0])
    with pytest.raises(InputError, match="expected 1 variables of the saved shapes, found 2"):
        checkpoint.load(
            path, model=SimpleNamespace(variables=[Variable([0.0]), Variable([0.0])]), generator=generator
        )


class Devices:
    """A GPU of torch, simulated: what it is given is what it holds."""

    def __init__(self, states: list[list[int]]) -> None:
        self.states: list[Any] = [np.array(state, "uint8") for state in states]

    def is_available(self) -> bool:
        return True

    def get_rng_state_all(self) -> list[object]:
        return list(self.states)

    def set_rng_state_all(self, states: list[Any]) -> None:
        self.states = states


def test_generators_of_every_gpu_go_along(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Devices([[1, 2], [3, 4]])
    mps = SimpleNamespace(is_available=lambda: True, get_rng_state=lambda: np.array([5], "uint8"), set=None)
    mps.set_rng_state = lambda state: setattr(mps, "set", state.tolist())
    torch = SimpleNamespace(
        uint8="uint8",
        tensor=np.array,
        get_rng_state=lambda: np.array([9], "uint8"),
        set_rng_state=lambda state: None,
        cuda=cuda,
        mps=mps,
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    found = generators.snapshot()
    cuda.states = []
    generators.restore(json.loads(json.dumps(found)))
    assert [state.tolist() for state in cuda.states] == [[1, 2], [3, 4]]
    assert mps.set == [5]
