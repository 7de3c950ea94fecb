"""Building an image beside the least that it could cost, and beside Docker with pip and with uv, in one run.

    python bench/build.py --python PYTHON [--repeats N] [--only CASE ...]
    python bench/build.py --python PYTHON --synthetic GIGABYTES [--repeats N]

Rules: each round runs every case once, in an order that rotates. All wheels lie on this disk and nothing
is downloaded. What the store knows of layers and bytecode is removed before a cold build, what Docker
built before a build of Docker's; then the disk gets what is still to be written. A case that works in the
engine's directory begins a minute later, for both sides: until then ext4 passes over every inode of the
image that was removed, one by one, for each file that it makes. Medians are compared, against the goals
that stand in GOALS. Processor time is that of all processes but Docker's own; memory is
what they have at once. The cases that need an engine are left out, and named, where DOCKER_HOST does not
answer.

``--synthetic``: the environment's base with wheels made up for it, a few large ones of libraries, in the
shape of ``nvidia-*``; floor and cold build only.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import rivals
from changing import changed
from synthetic import libraries
from usage import Usage, measure, variables

from envlock.host.store import Store
from envlock.lock import codec
from envlock.lock.model import Lock

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench/results"
LOCK = "pylock.envlock.toml"
CHANGED = "pylock.changed.toml"
FLOOR = str(Path(__file__).with_name("floor.py"))
LOADED = "envlock-bench/envlock:1"
# EXT4_RECENTCY_MIN of Linux (fs/ext4/ialloc.c), where there is no journal; what is not written yet, 300 more.
RECENTLY_DELETED = 65
LAYERS = ("wheel-layer", "installed-paths", "bytecode-layer")

Argv = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to time: commands one after the other. ``prepare`` runs before, off the clock.

    ``rest``: seconds between the two.
    """

    name: str
    commands: tuple[Argv, ...]
    prepare: Callable[[], None] = lambda: None
    rest: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """``slow`` takes at least ``times`` as long as ``fast``, or, where ``most``, at most."""

    slow: str
    fast: str
    times: float
    most: bool = False

    def told(self, medians: Mapping[str, Usage]) -> str:
        """Return what came out, and whether it is enough."""
        # What an engine does is none of our processes', so beside it only the wall counts.
        by = "processor" if self.most else "wall"
        ratio = getattr(medians[self.slow], by) / getattr(medians[self.fast], by)
        met = ratio <= self.times if self.most else ratio >= self.times
        bound = "at most" if self.most else "at least"
        return f"{self.slow} / {self.fast}: {ratio:.2f} by {by} time, goal {bound} {self.times:g}: " + (
            "reached" if met else "MISSED"
        )


GOALS = (
    Goal(slow="envlock", fast="floor", times=1.3, most=True),
    Goal(slow="envlock", fast="floor, zlib-ng", times=1.3, most=True),
    Goal(slow="docker build, pip", fast="envlock", times=15),
    Goal(slow="docker build, uv", fast="envlock", times=5),
    Goal(slow="docker build, pip", fast="envlock, docker load", times=3),
    Goal(slow="docker build, pip", fast="one changed, docker load", times=20),
    Goal(slow="docker build, pip", fast="envlock, bytecode", times=2),
)
REBUILD, REBUILD_GOAL = "one changed, layout", 1.0
MEMORY_GOAL = 300 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a benchmark works."""

    directory: Path
    store: Store

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables of every case, with the benchmark's own store."""
        return variables(self.store.root)

    def run(self, *argv: str) -> None:
        """Run ``argv`` off the clock."""
        subprocess.run(argv, cwd=self.directory, env=self.environ, check=True, stdout=subprocess.DEVNULL)

    def lock(self) -> Lock:
        """Return the environment's lock."""
        return codec.loads((self.directory / LOCK).read_bytes(), LOCK)

    def forget(self, *more: str) -> None:
        """Leave the wheels in the store; drop the archive, what is known of layers, and facts ``more``."""
        for kind in (*LAYERS, *more):
            shutil.rmtree(self.store.root / "facts" / kind, ignore_errors=True)
        # To free the blocks of an archive of before is no part of a build.
        (self.directory / "image.tar").unlink(missing_ok=True)

    def change(self) -> None:
        """Lock a version of a small package that no build saw before."""
        (self.directory / CHANGED).write_bytes(codec.dumps(changed(self.lock(), self.store)))


def envlock(*arguments: str) -> Argv:
    return (sys.executable, "-m", "envlock", *arguments)


def build(*arguments: str, bytecode: bool = False) -> Argv:
    return envlock("build", "--quiet", *(() if bytecode else ("--no-bytecode",)), *arguments)


def cold_cases(place: Place, lock: Lock) -> list[Case]:
    wheels = [str(place.store.path(package.wheel.sha256)) for package in lock.packages]
    archive = ("-o", "docker-archive:image.tar", "-t", LOADED)
    return [
        Case(name="floor", commands=((sys.executable, FLOOR, "zlib", *wheels),)),
        Case(name="floor, zlib-ng", commands=((sys.executable, FLOOR, "zlib-ng", *wheels),)),
        Case(name="envlock", commands=(build(*archive),), prepare=place.forget),
    ]


def warm_cases(place: Place) -> list[Case]:
    archive = ("-o", "docker-archive:image.tar", "-t", LOADED)
    return [
        Case(name="one changed, archive", commands=(build(CHANGED, *archive),), prepare=place.change),
        Case(name=REBUILD, commands=(build(CHANGED, "-o", "oci:layout"),), prepare=place.change),
    ]


def rival_cases(place: Place, *, engine: bool) -> list[Case]:
    archive = ("-o", "docker-archive:image.tar", "-t", LOADED)
    cases = [
        Case(
            name="envlock, bytecode",
            commands=(build(*archive, bytecode=True),),
            prepare=lambda: place.forget("bytecode"),
        ),
        Case(
            name="envlock, bytecode cached", commands=(build(*archive, bytecode=True),), prepare=place.forget
        ),
    ]
    if not engine:
        return cases
    # The archive of `docker load`, sent to the engine as the command does it.
    load = ("-o", f"docker:{LOADED}")

    def anew() -> None:
        rivals.forget(LOADED)
        place.forget()

    cases += [
        Case(
            name=f"docker build, {tool}",
            commands=(rivals.argv(tool),),
            prepare=lambda: rivals.forget(*rivals.TAGS),
            rest=RECENTLY_DELETED,
        )
        for tool in rivals.DOCKERFILES
    ]
    return [
        *cases,
        Case(name="envlock, docker load", commands=(build(*load),), prepare=anew, rest=RECENTLY_DELETED),
        # The image of before is in the engine, as it would be.
        Case(name="one changed, docker load", commands=(build(CHANGED, *load),), prepare=place.change),
    ]


def measured(place: Place, cases: Sequence[Case], repeats: int) -> dict[str, list[Usage]]:
    found: dict[str, list[Usage]] = {case.name: [] for case in cases}
    for turn in range(repeats):
        for case in (*cases[turn % len(cases) :], *cases[: turn % len(cases)]):
            case.prepare()
            os.sync()  # nobody waits for what the case before wrote
            time.sleep(case.rest)
            steps = [measure(argv, place.directory, place.environ) for argv in case.commands]
            usage = Usage(
                wall=sum(step.wall for step in steps),
                processor=sum(step.processor for step in steps),
                largest=max(step.largest for step in steps),
                together=max(step.together for step in steps),
            )
            found[case.name].append(usage)
            print(f"  round {turn + 1}  {line(case.name, usage)}", file=sys.stderr, flush=True)
    return found


def median(usages: Sequence[Usage]) -> Usage:
    return Usage(
        wall=statistics.median(one.wall for one in usages),
        processor=statistics.median(one.processor for one in usages),
        largest=max(one.largest for one in usages),
        together=max(one.together for one in usages),
    )


def line(name: str, usage: Usage) -> str:
    return (
        f"{name:28} wall {usage.wall:7.2f} s  processor {usage.processor:7.2f} s  "
        f"largest {usage.largest >> 20:4} MiB  together {usage.together >> 20:4} MiB"
    )


def report(medians: Mapping[str, Usage]) -> list[str]:
    told = [line(name, usage) for name, usage in medians.items()]
    told += [goal.told(medians) for goal in GOALS if goal.slow in medians and goal.fast in medians]
    if REBUILD in medians:
        work = medians[REBUILD].processor
        met = "reached" if work < REBUILD_GOAL else "MISSED"
        told.append(f"{REBUILD}: {work:.2f} s of processor time, goal below {REBUILD_GOAL:g}: {met}")
    if "envlock" in medians:
        memory = medians["envlock"].together
        met = "reached" if memory < MEMORY_GOAL else "MISSED"
        told.append(f"envlock: {memory >> 20} MiB at most, goal below {MEMORY_GOAL >> 20}: {met}")
    return told


def compare(
    python: Path, place: Place, synthetic: float | None, repeats: int, only: Sequence[str]
) -> tuple[str, list[str]]:
    place.run(*envlock("capture", "--quiet", "--python", str(python)))
    if synthetic is not None:
        made = libraries(int(synthetic * 1e9), place.store)
        lock = replace(place.lock(), packages=made, gaps=())
        (place.directory / LOCK).write_bytes(codec.dumps(lock))
    # Once, off the clock: every wheel is in the store after this, and every import compiled.
    place.run(*build("-o", "oci-archive:first.tar"))
    (place.directory / "first.tar").unlink()
    lock = place.lock()
    cases = cold_cases(place, lock)
    if synthetic is None:
        engine = rivals.engine_answers()
        if engine:
            rivals.prepare(lock, place.store, place.directory)
        else:
            print("bench: no Docker engine answers: its cases are left out", file=sys.stderr)
        cases += [*warm_cases(place), *rival_cases(place, engine=engine)]
    if only:
        cases = [case for case in cases if case.name in only]
    try:
        found = measured(place, cases, repeats)
    finally:
        if synthetic is None:
            rivals.forget(*rivals.TAGS, LOADED, rivals.BASE)
    told = report({name: median(usages) for name, usages in found.items()})
    size = sum(package.wheel.size for package in lock.packages)
    return (
        f"{len(lock.packages)} packages, {size / 1e6:.0f} MB of wheels, load {os.getloadavg()[0]:.1f}",
        told,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="time builds beside the floor, and beside Docker's")
    parser.add_argument("--python", type=Path, default=ROOT / ".demo/env/bin/python", help="the environment")
    parser.add_argument(
        "--synthetic", type=float, metavar="GIGABYTES", help="large wheels in its packages' place"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=(), metavar="CASE", help="no case but these")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="envlock-bench-", dir="/var/tmp") as scratch:
        place = Place(directory=Path(scratch), store=Store(Path(scratch, "store")))
        of, told = compare(
            arguments.python.absolute(), place, arguments.synthetic, arguments.repeats, arguments.only
        )
    print(f"{of}; medians of {arguments.repeats} rounds")
    print("\n".join(told))
    RESULTS.mkdir(exist_ok=True)
    name = f"build-{of.partition(' ')[0]}-packages" + ("-synthetic" if arguments.synthetic else "")
    (RESULTS / f"{name}.json").write_text(json.dumps({"of": of, "told": told}, indent=2) + "\n")


if __name__ == "__main__":
    main()
