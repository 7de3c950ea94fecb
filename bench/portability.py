"""What `cpu: {isa: portable}` costs, operation by operation: processor time of torch and NumPy.

    python bench/portability.py --python PYTHON

PYTHON has torch and NumPy. One thread, so that processor time is the operation's own; the least of
several rounds, which other work on the machine raises last. Configurations take turns.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

from envlock.image import mkl
from envlock.runtime import determinism

ROOT = Path(__file__).parents[1]
ROUNDS = 3
CHILD = """
import envlock.runtime.startup
import json, time
import numpy as np, torch

def timed(operation):
    operation()
    taken = []
    for _ in range(5):
        begun = time.process_time()
        operation()
        taken.append(time.process_time() - begun)
    return min(taken) * 1000

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
print(json.dumps({name: timed(case) for name, case in cases.items()}))
"""


def configurations(python: str, library: Path) -> dict[str, dict[str, str]]:
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    packages = {one.metadata["Name"].lower(): one.version for one in distributions(path=[site])}

    def made(isa: str) -> dict[str, str]:
        return determinism.image_environment(threads=1, isa=isa, packages=packages, machine="x86_64")

    return {
        "native": made("native"),
        "portable": {**made("portable"), "ENVLOCK_MKL": str(library)},
        "portable, ENVLOCK_MKL=": {**made("portable"), "ENVLOCK_MKL": ""},
    }


def measured(python: str, variables: dict[str, str]) -> dict[str, float]:
    environ = {**os.environ, **variables, "ENVLOCK_RUN": "bench", "ENVLOCK_SEED": "1", "ENVLOCK_QUIET": "1"}
    environ["PYTHONPATH"] = str(ROOT)
    done = subprocess.run([python, "-W", "ignore", "-c", CHILD], env=environ, capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="what cpu.isa: portable costs, operation by operation")
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has torch and NumPy")
    python = parser.parse_args().python
    least: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        library = Path(scratch, "libenvlock-mkl.so")
        library.write_bytes(mkl.library())
        for _ in range(ROUNDS):
            for name, variables in configurations(python, library).items():
                found = measured(python, variables)
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
