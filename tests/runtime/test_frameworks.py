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
