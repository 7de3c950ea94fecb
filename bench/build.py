"""A cold build without bytecode beside the floor (bench/floor.py), in one run: time and memory.

    python bench/build.py --python PYTHON [--repeats N]

Each round runs both on the same wheels, which lie on this disk; what the store knows of layers is removed
before the build. Processor time is that of all processes, and memory is what they have at once.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from usage import Usage, measure

from envlock.host.store import Store
from envlock.lock import codec

LOCK = "pylock.envlock.toml"
FLOOR = str(Path(__file__).with_name("floor.py"))


def main() -> None:
    parser = argparse.ArgumentParser(description="time a cold build beside the floor")
    parser.add_argument("--python", type=Path, required=True, help="the environment")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="envlock-bench-", dir="/var/tmp") as scratch:
        compare(arguments.python.absolute(), Path(scratch), arguments.repeats)


def compare(python: Path, directory: Path, repeats: int) -> None:
    store = Store(directory / "store")
    environ = {**os.environ, "ENVLOCK_CACHE": str(store.root)}
    envlock = (sys.executable, "-m", "envlock")
    build = (*envlock, "build", "--quiet", "--no-bytecode", "-o", "oci-archive:image.tar")
    measure((*envlock, "capture", "--quiet", "--python", str(python)), directory, environ)
    measure(build, directory, environ)
    lock = codec.loads((directory / LOCK).read_bytes(), LOCK)
    wheels = [
        str(directory / package.wheel.path if package.wheel.path else store.path(package.wheel.sha256))
        for package in lock.packages
    ]
    ratios: list[tuple[float, float]] = []
    for _ in range(repeats):
        floor = told("floor", measure((sys.executable, FLOOR, *wheels), directory, environ))
        for kind in ("wheel-layer", "wheel-paths"):
            shutil.rmtree(store.root / "facts" / kind, ignore_errors=True)
        built = told("build", measure(build, directory, environ))
        ratios.append((built.processor / floor.processor, built.wall / floor.wall))
    processor, wall = (statistics.median(values) for values in zip(*ratios, strict=True))
    print(f"median ratio to the floor: processor {processor:.2f}, wall {wall:.2f}")


def told(name: str, usage: Usage) -> Usage:
    memory = f"largest process {usage.largest >> 20} MiB, all {usage.together >> 20} MiB"
    print(f"{name:6} wall {usage.wall:6.1f} s  processor {usage.processor:6.1f} s  {memory}", flush=True)
    return usage


if __name__ == "__main__":
    main()
