"""What `cpu: {isa: portable}` costs, operation by operation: processor time of torch, NumPy and TensorFlow.

    python bench/portability.py --python PYTHON

PYTHON has NumPy, and torch, TensorFlow or both. One thread, so that processor time is the operation's own;
the least of several rounds, which other work on the machine raises last. Configurations take turns.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from envlock.image import mkl
from envlock.runtime import determinism

ROOT = Path(__file__).parents[1]
ROUNDS = 3
TIMED = """
import envlock.runtime.startup
import json, time
import numpy as np

def timed(operation):
    operation()
    taken = []
    for _ in range(5):
        begun = time.process_time()
        operation()
        taken.append(time.process_time() - begun)
    return min(taken) * 1000
"""
REPORTED = """
print(json.dumps({name: timed(case) for name, case in cases.items()}))
"""
OPERATIONS = {
    "torch": """
import torch
x, square = torch.rand(1 << 20), torch.rand(1024, 1024)
names = "exp log sqrt sin tanh erf log1p log2 asin atan".split()
cases = {name: lambda f=getattr(torch, name): f(x) for name in names}
cases["matmul 1024"] = lambda: square @ square
cases["matmul 1024 float64"] = lambda f=square.double(): f @ f
cases["svd 256"] = lambda s=square[:256, :256]: torch.linalg.svd(s)
image, conv = torch.rand(8, 16, 64, 64), torch.nn.Conv2d(16, 32, 3)
cases["conv2d"] = lambda: conv(image)
cases["softmax"] = lambda: torch.softmax(square, 1)
layer, words = torch.nn.TransformerEncoderLayer(256, 4, batch_first=True), torch.rand(8, 64, 256)
cases["transformer layer, forward and backward"] = lambda: layer(words).sum().backward()
parameter = torch.nn.Parameter(x.clone())
parameter.grad = x.clone()
adam = torch.optim.AdamW([parameter])
cases["AdamW"] = adam.step
array, table = x.numpy(), square.numpy()
for name in ("exp", "log", "sqrt", "sin", "tanh", "sort"):
    cases[f"numpy {name}"] = lambda f=getattr(np, name): f(array)
cases["numpy matmul 1024"] = lambda: table @ table
""",
    "tensorflow": """
import tensorflow as tf
draw = np.random.default_rng(0)
x, square = (tf.constant(draw.random(size, np.float32)) for size in (1 << 20, (1024, 1024)))
cases = {name: lambda f=getattr(tf.math, name): f(x) for name in "rsqrt reciprocal exp log tanh erf".split()}
cases["gelu"] = lambda: tf.nn.gelu(x)
cases["x / sqrt(y) in a function"] = tf.function(lambda: square / tf.sqrt(square + 1))
cases["matmul 1024"] = lambda: square @ square
images = tf.constant(draw.random((8, 32, 32, 16), np.float32))
kernel = tf.constant(draw.random((3, 3, 16, 32), np.float32))
cases["conv2d"] = lambda: tf.nn.conv2d(images, kernel, 1, "SAME")
layers = tf.keras.layers
for name, layer in {
    "batch normalisation": layers.BatchNormalization(),
    "layer normalisation": layers.LayerNormalization(),
}.items():
    cases[name] = tf.function(lambda layer=layer: layer(images, training=True))

def training(shape, body, optimizer):
    model = tf.keras.Sequential([tf.keras.Input(shape), *body, layers.Dense(10)])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    inputs, labels = draw.random((64, *shape), np.float32), draw.integers(0, 10, 64)
    return lambda: model.train_on_batch(inputs, labels)

dense = [layers.Dense(512, "gelu"), layers.LayerNormalization(), layers.Dense(512, "gelu")]
cases["MLP with GELU, a step of RMSprop"] = training((256,), dense, "rmsprop")
convolutions = [layers.Conv2D(32, 3, activation="relu"), layers.BatchNormalization(), layers.Flatten()]
cases["CNN with batch normalisation, a step of Adam"] = training((28, 28, 1), convolutions, "adam")
""",
}


def installed(python: str) -> dict[str, str]:
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    return {canonicalize_name(one.metadata["Name"]): one.version for one in distributions(path=[site])}


def configurations(packages: dict[str, str], library: Path) -> dict[str, dict[str, str]]:
    def made(isa: str) -> dict[str, str]:
        baked = determinism.image_environment(threads=1, isa=isa, packages=packages, machine="x86_64")
        return {**baked, "ENVLOCK_ISA": isa}

    return {
        "native": made("native"),
        "portable": {**made("portable"), "ENVLOCK_MKL": str(library)},
        "portable, ENVLOCK_MKL=": {**made("portable"), "ENVLOCK_MKL": ""},
    }


def measured(python: str, operations: str, variables: dict[str, str]) -> dict[str, float]:
    environ = {**os.environ, **variables, "ENVLOCK_RUN": "bench", "ENVLOCK_SEED": "1", "ENVLOCK_QUIET": "1"}
    environ["PYTHONPATH"] = str(ROOT)
    code = TIMED + operations + REPORTED
    done = subprocess.run([python, "-W", "ignore", "-c", code], env=environ, capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="what cpu.isa: portable costs, operation by operation")
    parser.add_argument("--python", default=sys.executable, help="it has NumPy, and torch or TensorFlow")
    python = parser.parse_args().python
    packages = installed(python)
    versions = {name: packages.get(name) or packages.get(f"{name}-cpu") for name in OPERATIONS}
    frameworks = {name: version for name, version in versions.items() if version}
    if not frameworks:
        parser.error(f"{python} has none of {', '.join(OPERATIONS)}: name an interpreter that has")
    with tempfile.TemporaryDirectory() as scratch:
        library = Path(scratch, "libenvlock-mkl.so")
        library.write_bytes(mkl.library())
        for framework, version in frameworks.items():
            print(f"\n{framework} {version}, NumPy {packages['numpy']}: ms of processor time\n")
            compare(python, OPERATIONS[framework], configurations(packages, library))


def compare(python: str, operations: str, variables: dict[str, dict[str, str]]) -> None:
    least: dict[str, dict[str, float]] = {}
    for _ in range(ROUNDS):
        for name, environment in variables.items():
            found = measured(python, operations, environment)
            kept = least.setdefault(name, found)
            least[name] = {case: min(kept[case], found[case]) for case in found}
    names = list(least)
    print(f"| operation | {' | '.join(names)} | portable / native |")
    print("|---" * (len(names) + 2) + "|")
    for case, native in least["native"].items():
        values = " | ".join(f"{least[name][case]:.2f}" for name in names)
        print(f"| {case} | {values} | {least['portable'][case] / native:.2f} |")


if __name__ == "__main__":
    main()
