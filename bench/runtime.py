"""Time the entrypoint beside a bare exec, and a Python child of a run beside one of no run.

    python bench/runtime.py [--repeats N]

The image is simulated by the tests' fake one: the same runtime, interpreter and layout in a directory.
Cases take turns, so that a slow minute falls on all; medians are compared. Processor time of the whole
tree is what counts: wall time follows whoever else is on the machine. Writes bench/results/runtime.json.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.runtime.conftest import FakeImage, make  # noqa: E402 - found on the path just made

RESULTS = ROOT / "bench/results/runtime.json"
# Milliseconds over the bare case, from the contract of the runtime.
TARGETS = {"entrypoint": 40.0, "child": 5.0}
CHILDREN = 20
_SPAWN = f"""
import os, sys
for _ in range({CHILDREN}):
    os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-c", "pass"], os.environ), 0)
"""


def measured(run: Callable[[], object]) -> tuple[float, float]:
    """Return (processor, wall) milliseconds of ``run`` and the processes that it waits for."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run()
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1000, wall * 1000


def started(argv: list[str], env: dict[str, str], work: Path) -> Callable[[], object]:
    return lambda: subprocess.run(argv, env=env, cwd=work, capture_output=True, check=True)


def cases(image: FakeImage) -> dict[str, Callable[[], object]]:
    env = image.environ({"ENVLOCK_SEED": "1"})
    bare = {name: value for name, value in env.items() if not name.startswith("ENVLOCK")}
    run = [*image.argv, "--seed", "1", "--quiet", "--"]
    spawn = [image.python, "-c", _SPAWN]
    return {
        "bare exec": started(["/bin/true"], bare, image.work),
        "entrypoint": started([*run, "/bin/true"], env, image.work),
        "interpreter alone": started([image.python, "-IS", "-c", "pass"], bare, image.work),
        f"{CHILDREN} children, no run": started(spawn, bare, image.work),
        f"{CHILDREN} children of a run": started([*run, *spawn], env, image.work),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="time the runtime beside what it is wrapped around")
    parser.add_argument("--repeats", type=int, default=15)
    repeats: int = parser.parse_args().repeats
    with tempfile.TemporaryDirectory(prefix="envlock-bench-", dir="/var/tmp") as scratch:
        every = cases(make(Path(scratch, "image"), sys.executable))
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in every}
        for turn in range(-1, repeats):
            for name, run in every.items():
                taken = measured(run)
                # The first round fills caches and compiles bytecode.
                if turn >= 0:
                    found[name].append(taken)
    medians = {
        name: [statistics.median(column) for column in zip(*values, strict=True)]
        for name, values in found.items()
    }
    for name, (cpu, wall) in medians.items():
        print(f"  {name:24}{cpu:9.1f} ms processor{wall:9.1f} ms wall")
    over = [medians["entrypoint"][kind] - medians["bare exec"][kind] for kind in (0, 1)]
    many = [medians[f"{CHILDREN} children of a run"][kind] - medians["entrypoint"][kind] for kind in (0, 1)]
    none = [medians[f"{CHILDREN} children, no run"][kind] for kind in (0, 1)]
    # The spawning interpreter is one of the run's children too.
    each = [(one - other) / (CHILDREN + 1) for one, other in zip(many, none, strict=True)]
    for name, values in (("entrypoint", over), ("child", each)):
        shown = f"{values[0]:.1f} ms processor, {values[1]:.1f} ms wall over bare"
        print(f"  {name}: {shown}; target {TARGETS[name]:.0f}")
    start = medians["entrypoint"][0] / medians["interpreter alone"][0]
    print(f"  ratio of the entrypoint to an interpreter that does nothing: {start:.2f} (processor)")
    print(f"  ratio of a child of a run to one of none: {many[0] / none[0]:.2f} (processor)")
    RESULTS.parent.mkdir(exist_ok=True)
    document = {"cores": os.cpu_count(), "medians": medians, "entrypoint": over, "child": each}
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    print(f"wrote {RESULTS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
