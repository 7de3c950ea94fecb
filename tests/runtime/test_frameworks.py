"""torch and TensorFlow, unseeded by their job, in an environment that has them.

ENVLOCK_TEST_FRAMEWORKS_PYTHON names the interpreter of an environment with numpy, torch and
tensorflow; without it these tests are skipped.
"""

import os
from pathlib import Path

import pytest

from tests.runtime.conftest import FakeImage, make

PYTHON = os.environ.get("ENVLOCK_TEST_FRAMEWORKS_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="ENVLOCK_TEST_FRAMEWORKS_PYTHON names no environment"),
]

TRAIN_TORCH = """
import hashlib, numpy as np, torch
def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
x = torch.randn(64, 8)
nn = torch.nn
model = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(), nn.Linear(16, 1))
optimizer = torch.optim.AdamW(model.parameters())
for _ in range(10):
    loss = (model(x) - torch.from_numpy(np.random.rand(64, 1).astype("float32"))).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("torch", digest(torch.cat([p.detach().flatten() for p in model.parameters()]).numpy()))
"""
TRAIN_TENSORFLOW = """
import hashlib, numpy as np, tensorflow as tf
x = np.random.randn(64, 8).astype("float32")
layers = tf.keras.layers
model = tf.keras.Sequential([layers.Dense(8), layers.Dropout(0.3), layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, x[:, :1], epochs=2, verbose=0)
flat = np.concatenate([weight.flatten() for weight in model.get_weights()])
print("tensorflow", hashlib.sha256(flat.tobytes()).hexdigest(), tf.random.uniform([1]).numpy())
"""
LOADERS = """
import numpy as np, random, torch
class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 16
    def __getitem__(self, index):
        unseeded = np.random.default_rng().random()
        return torch.tensor([torch.rand(()).item(), unseeded, np.random.rand(), random.random()])
if __name__ == "__main__":
    for method in ("fork", "spawn"):
        loader = torch.utils.data.DataLoader(
            Data(), shuffle=True, num_workers=2, multiprocessing_context=method
        )
        for epoch in range(2):
            rows = torch.cat(list(loader))
            assert len(set(rows[:, 1].tolist())) == 16
            print(method, epoch, rows.flatten().tolist())
"""
STOPPED_TORCH = """
import hashlib, os, sys
import numpy as np, torch
from envlock.runtime import checkpoint, seeds
nn = torch.nn

class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 12
    def __getitem__(self, index):
        noise = np.random.default_rng().normal(size=4) + np.random.rand()
        return torch.rand(4) + torch.from_numpy(noise.astype("float32")) + index

stop, path, workers = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 9)
own = seeds.torch_generator("augment")
loader = torch.utils.data.DataLoader(Data(), batch_size=4, shuffle=True, num_workers=workers)
batches = checkpoint.Batches(loader)
objects = dict(model=model, optimizer=optimizer, scheduler=scheduler, own=own, batches=batches)
data = {"epoch": 0, "step": 0}
if os.path.exists(path):
    data = checkpoint.load(path, **objects)
step = data["step"]
for epoch in range(data["epoch"], 3):
    for batch in batches:
        batch = batch + torch.rand(batch.shape, generator=own)
        loss = model(batch).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        step += 1
        print(step, loss.item(), torch.rand(()).item(), flush=True)
        checkpoint.save(path, {"epoch": epoch, "step": step}, **objects)
        if step == stop:
            os._exit(9)
flat = torch.cat([value.detach().flatten().double() for value in model.state_dict().values()])
print("end", hashlib.sha256(flat.numpy().tobytes()).hexdigest())
"""
STOPPED_KERAS = """
import hashlib, os, sys
import numpy as np, tensorflow as tf
from envlock.runtime import checkpoint, seeds
stop, path = int(sys.argv[1]), sys.argv[2]
layers = tf.keras.layers
model = tf.keras.Sequential([layers.Dense(8), layers.Dropout(0.3), layers.Dense(1)])
model.compile("adam", "mse")
model.build((None, 4))
model.optimizer.build(model.trainable_variables)
own = seeds.tf_generator("noise")
objects = dict(model=model, optimizer=model.optimizer, own=own)
data = {"epoch": 0}
if os.path.exists(path):
    data = checkpoint.load(path, **objects)
for epoch in range(data["epoch"], 4):
    x = np.random.randn(32, 4).astype("float32") + own.normal([32, 4]).numpy() + tf.random.normal([4]).numpy()
    history = model.fit(x, x[:, :1], epochs=1, verbose=0, shuffle=True)
    print(epoch, history.history["loss"], flush=True)
    checkpoint.save(path, {"epoch": epoch + 1}, **objects)
    if epoch == stop:
        os._exit(9)
flat = np.concatenate([weight.flatten() for weight in model.get_weights()])
print("end", hashlib.sha256(flat.tobytes()).hexdigest())
"""
NONDETERMINISTIC = """
import torch
torch.zeros(4).put_(torch.tensor([0, 1]), torch.tensor([1.0, 2.0]))
print("ran")
"""
PACKAGES = {"numpy": "2.4.6", "torch": "2.13.0+cpu", "tensorflow-cpu": "2.21.0"}


@pytest.fixture
def frameworks(tmp_path: Path) -> FakeImage:
    image = make(tmp_path, PYTHON)
    image.describe(packages=PACKAGES)
    return image


@pytest.mark.parametrize(
    "code", [TRAIN_TORCH, TRAIN_TENSORFLOW, LOADERS], ids=["torch", "tensorflow", "loaders"]
)
def test_unseeded_jobs_repeat_with_their_seed_and_only_with_it(frameworks: FakeImage, code: str) -> None:
    first = frameworks.job(code, "--seed", "42")
    again = frameworks.job(code, "--seed", "42")
    other = frameworks.job(code, "--seed", "43")
    assert first.status == 0, first.stderr
    assert first.stdout == again.stdout
    assert first.stdout != other.stdout
    assert first.record.seeds == again.record.seeds


def test_tensorflow_is_deterministic_unless_told_not_to_be(frameworks: FakeImage) -> None:
    code = (
        "import tensorflow\n"
        "from tensorflow.python.framework import config\n"
        "print(config.is_op_determinism_enabled())\n"
    )
    assert frameworks.job(code).stdout == "True\n"
    assert frameworks.job(code, "--determinism", "none").stdout == "False\n"


def test_a_nondeterministic_operation_is_recorded_with_its_caller(frameworks: FakeImage) -> None:
    done = frameworks.job(NONDETERMINISTIC)
    found = [(one.operation, one.where) for one in done.record.nondeterministic]
    assert done.stdout == "ran\n"
    assert found == [("put_", f"{frameworks.work}/job.py:3")]
    assert "does not have a deterministic implementation" in done.stderr


def test_a_nondeterministic_operation_is_refused_under_strict(frameworks: FakeImage) -> None:
    done = frameworks.job(NONDETERMINISTIC, "--determinism", "strict")
    assert (done.status, done.stdout) == (1, "")
    assert "does not have a deterministic implementation" in done.stderr


def test_the_level_none_leaves_torch_as_it_is(frameworks: FakeImage) -> None:
    code = "import torch; print(torch.are_deterministic_algorithms_enabled(), torch.initial_seed() != 0)"
    assert frameworks.job(code, "--determinism", "none").stdout == "False True\n"


def test_a_generator_of_the_users_own_stream(frameworks: FakeImage) -> None:
    code = (
        "from envlock.runtime import seeds\n"
        "own = seeds.torch_generator('a').initial_seed()\n"
        "print(own == seeds.seed('a'), own != seeds.seed('b'))\n"
    )
    assert frameworks.job(code).stdout == "True True\n"


@pytest.mark.parametrize(
    ("code", "stop", "more"),
    [(STOPPED_TORCH, "4", ("0",)), (STOPPED_TORCH, "5", ("2",)), (STOPPED_KERAS, "1", ())],
    ids=["torch", "torch with workers", "keras"],
)
def test_a_training_that_stopped_and_went_on_has_the_same_weights(
    frameworks: FakeImage, code: str, stop: str, more: tuple[str, ...]
) -> None:
    (frameworks.work / "job.py").write_text(code)

    def job(stop: str, path: str) -> str:
        done = frameworks.run(
            "--seed", "42", "--", "python", "job.py", stop, f"{frameworks.out}/{path}", *more
        )
        assert "Error" not in done.stderr, done.stderr
        return done.stdout

    whole = job("-1", "whole")
    first = job(stop, "parts")
    assert "end" in whole
    assert "end" not in first
    assert first + job("-1", "parts") == whole


def test_state_that_only_unpickling_could_load_is_refused(frameworks: FakeImage) -> None:
    code = """
import numpy, torch
from envlock.runtime import checkpoint
class Own:
    def state_dict(self): return {"a": [torch.zeros(1), numpy.zeros(1)]}
    def load_state_dict(self, state): raise KeyError("a")
try:
    checkpoint.save("c", own=Own())
except checkpoint.files.InputError as error:
    print(error)
"""
    done = frameworks.job(code)
    assert done.stdout.startswith("cannot be kept in a checkpoint: own.a[1]: expected tensors"), done.stderr


USER_STREAMS = """
from envlock.runtime import seeds
import tensorflow as tf
print(seeds.tf_generator("a").uniform([2]).numpy().tolist())
print(seeds.tf_generator("a").uniform([2]).numpy().tolist())
print(seeds.tf_generator("b").uniform([2]).numpy().tolist())
"""


def test_a_tensorflow_generator_of_the_users_own_stream(frameworks: FakeImage) -> None:
    first, again, other = frameworks.job(USER_STREAMS, "--seed", "3").stdout.splitlines()
    assert first == again
    assert first != other


def test_pandas_and_scikit_learn_draw_from_the_seeded_generator(frameworks: FakeImage) -> None:
    code = """
import numpy as np, pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
x = np.random.rand(60, 4)
print(pd.DataFrame(x).sample(5).index.tolist(), train_test_split(x)[1][0].tolist())
print(RandomForestClassifier(5, n_jobs=2).fit(x, x[:, 0] > 0.5).feature_importances_.tolist())
"""
    first, again, other = (frameworks.job(code, "--seed", seed).stdout for seed in ("1", "1", "2"))
    assert first == again
    assert not set(first.splitlines()) & set(other.splitlines())
