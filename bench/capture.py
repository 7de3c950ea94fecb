"""Time capture beside the tools that do a part of it: pip and uv freeze, sha256sum, tar, uv pip compile.

    python bench/capture.py [--python PYTHON] [--repeats N] [--network]

Rules: each round runs every case once, in an order that rotates, so that a slow minute of the machine
falls on all of them; medians are compared, of wall and of processor time. What is compared works on the
same files, which are read once before the clock runs. Each case is a process of its own, start included.
``--network`` adds the search for hashes, which asks the index. Results go to bench/results/.
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
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from usage import variables

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench/results"
PARTS = (sys.executable, str(Path(__file__).with_name("parts.py")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A command. ``rivals``: the cases that it is measured against; ``prepare`` runs off the clock."""

    name: str
    argv: tuple[str, ...]
    rivals: tuple[str, ...] = ()
    prepare: Callable[[], None] = lambda: None
    stdin: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one run took: seconds of wall and of processor time, and MB of memory at most."""

    wall: float
    cpu: float
    memory: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a benchmark works: everything that it writes lies below ``directory``."""

    python: Path
    directory: Path

    def store(self, name: str) -> Path:
        """Return a store of this benchmark's own."""
        return self.directory / "stores" / name

    def forget(self, name: str, *kinds: str) -> Callable[[], None]:
        """Return a preparation that empties a store, or drops the facts of ``kinds`` from it."""
        places = [self.store(name) / "facts" / kind for kind in kinds] or [self.store(name)]

        def forgotten() -> None:
            for place in places:
                shutil.rmtree(place, ignore_errors=True)

        return forgotten

    def run(self, case: Case) -> Figures:
        """Run the case, and end the benchmark where it fails."""
        environ = variables(self.store("capture"))
        output = self.directory / "output"
        with open(case.stdin or os.devnull, "rb") as given, output.open("wb") as told:
            begun = time.perf_counter()
            process = subprocess.Popen(
                case.argv, cwd=self.directory, env=environ, stdin=given, stdout=told, stderr=told
            )
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            tail = output.read_bytes()[-2000:].decode(errors="replace")
            sys.exit(f"bench: {' '.join(case.argv)}: exit status {process.returncode}\n{tail}")
        return Figures(wall=wall, cpu=usage.ru_utime + usage.ru_stime, memory=usage.ru_maxrss / 1024)


def own(part: str, place: Place, store: str) -> tuple[str, ...]:
    """Return the command that does one ``part`` of a capture (bench/parts.py)."""
    return (*PARTS, part, str(place.python), str(place.store(store)))


def uv_program() -> str | None:
    """Return the uv of this environment, else the one on PATH."""
    return shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


def metadata_cases(place: Place) -> list[Case]:
    """What is installed? Nothing is hashed and the base is packed: the second capture of the same."""
    python = str(place.python)
    uv = uv_program()
    cases = [
        Case(name="pip freeze", argv=(sys.executable, "-m", "pip", "--python", python, "freeze")),
        Case(name="pip inspect", argv=(sys.executable, "-m", "pip", "--python", python, "inspect")),
        Case(name="distributions only", argv=own("list", place, "parts"), rivals=("pip freeze",)),
        Case(
            name="capture, nothing changed",
            argv=(
                *(sys.executable, "-m", "envlock", "capture", "--quiet", "--offline"),
                *("--python", python, "-o", "pylock.bench.toml"),
            ),
            rivals=("pip freeze", "uv pip freeze"),
        ),
        Case(
            name="the same, as it is typed",
            argv=(sys.executable, "-m", "envlock", "capture", "--python", python, "-o", "pylock.bench.toml"),
            rivals=("pip freeze", "uv pip freeze"),
        ),
    ]
    if uv is not None:
        cases.insert(1, Case(name="uv pip freeze", argv=(uv, "pip", "freeze", "--python", python)))
    return cases


def verification_cases(place: Place, files: Path) -> list[Case]:
    """Is every installed file what RECORD says?"""
    cores = str(len(os.sched_getaffinity(0)))
    xargs = ("xargs", "-0", "-n", "256")
    return [
        Case(name="sha256sum", argv=(*xargs, "sha256sum"), stdin=files),
        Case(name=f"sha256sum, {cores} at once", argv=(*xargs, "-P", cores, "sha256sum"), stdin=files),
        Case(name="verification, all hashed", argv=own("verify", place, "none"), rivals=("sha256sum",)),
        Case(name="verification, unchanged", argv=own("verify", place, "parts"), rivals=("sha256sum",)),
    ]


def packing_cases(place: Place, files: Path) -> list[Case]:
    """The base of this machine: what goes into it was read before, as a capture does."""
    tar = ("--null", "--no-recursion", "-P", "-T", str(files), "-f", "packed.tar")
    pack = own("pack", place, "base")
    return [
        Case(name="tar -c", argv=("tar", "-c", *tar)),
        Case(name="tar -cz", argv=("tar", "-cz", *tar)),
        Case(name="base", argv=pack, rivals=("tar -cz",), prepare=place.forget("base")),
        Case(name="base, packed before", argv=pack, rivals=("tar -cz",)),
    ]


def network_cases(place: Place, pins: Path) -> list[Case]:
    """The hashes of every pinned distribution, nothing cached, and again with all that the first left.

    uv reads what each distribution needs too, to resolve it; with ``--no-deps`` it looks for hashes only.
    """
    resolving = (uv_program() or "uv", "pip", "compile", "--generate-hashes", "--quiet", str(pins))
    resolving = (*resolving, "--python", str(place.python))
    uv = (*resolving, "--no-deps")
    kept = str(place.directory / "uv-cache")
    again = [
        Case(name="uv, cached", argv=(*uv, "--cache-dir", kept)),
        Case(name="hashes, known", argv=own("locate", place, "known"), rivals=("uv, cached",)),
    ]
    for case in again:
        place.run(case)
    peers = {
        "uv pip compile --generate-hashes": (*resolving, "--no-cache"),
        "the same --no-deps": (*uv, "--no-cache"),
    }
    return [
        *(Case(name=name, argv=argv) for name, argv in peers.items()),
        Case(
            name="hashes",
            argv=own("locate", place, "wheels"),
            rivals=tuple(peers),
            prepare=place.forget("wheels"),
        ),
        *again,
    ]


def measure(place: Place, cases: list[Case], repeats: int) -> dict[str, list[Figures]]:
    taken: dict[str, list[Figures]] = {case.name: [] for case in cases}
    for turn in range(repeats):
        for case in cases[turn % len(cases) :] + cases[: turn % len(cases)]:
            case.prepare()
            figures = place.run(case)
            taken[case.name].append(figures)
            told = f"{figures.wall:8.2f} s  {figures.cpu:8.2f} s processor  {figures.memory:6.0f} MB"
            print(f"  round {turn + 1}  {case.name:32}{told}", file=sys.stderr)
    return taken


def report(title: str, cases: Iterable[Case], taken: dict[str, list[Figures]]) -> list[dict[str, object]]:
    """Print medians with their ratio to the rival's, and return them."""
    print(f"{title:34}{'wall':>10}{'processor':>12}{'memory':>10}   of the rival's wall, processor")
    rows: list[dict[str, object]] = []
    medians = {
        name: Figures(
            wall=statistics.median(one.wall for one in figures),
            cpu=statistics.median(one.cpu for one in figures),
            memory=statistics.median(one.memory for one in figures),
        )
        for name, figures in taken.items()
    }
    for case in cases:
        own = medians[case.name]
        ratios = "; ".join(
            f"{own.wall / medians[rival].wall:.2f}, {own.cpu / medians[rival].cpu:.2f} of {rival}"
            for rival in case.rivals
            if rival in medians
        )
        print(f"  {case.name:32}{own.wall:>8.2f} s{own.cpu:>10.2f} s{own.memory:>7.0f} MB   {ratios}")
        rows.append({"case": case.name, "rivals": case.rivals, **asdict(own)})
    return rows


def prepare(place: Place) -> None:
    """Capture off the clock, twice: what was written a moment before the first is hashed once more."""
    command = ("capture", "--quiet", "--python", str(place.python), "-o", "pylock.bench.toml")
    capture = Case(name="", argv=(sys.executable, "-m", "envlock", *command))
    place.run(Case(name="", argv=own("prepare", place, "none")))
    place.run(capture)
    time.sleep(3)
    place.run(capture)
    place.run(Case(name="", argv=own("verify", place, "parts")))


def main() -> None:
    parser = argparse.ArgumentParser(description="time capture beside pip, uv, sha256sum and tar")
    parser.add_argument("--python", type=Path, default=ROOT / ".demo/env/bin/python", help="the environment")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--network", action="store_true", help="also time the search for hashes")
    arguments = parser.parse_args()
    if not arguments.python.exists():
        sys.exit(f"bench: {arguments.python}: not there; run `make demo` first, or name one with --python")
    with tempfile.TemporaryDirectory(prefix="envlock-bench-", dir="/var/tmp") as scratch:
        place = Place(python=arguments.python.absolute(), directory=Path(scratch))
        prepare(place)
        pins = place.directory / "pins.in"
        groups = {
            "metadata": metadata_cases(place),
            "verification": verification_cases(place, place.directory / "recorded"),
            "packing": packing_cases(place, place.directory / "packed"),
        }
        if arguments.network:
            groups["hashes"] = network_cases(place, pins)
        results = {}
        for title, cases in groups.items():
            results[title] = report(title, cases, measure(place, cases, arguments.repeats))
        count = len(pins.read_text().splitlines())
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"capture-{count}-packages.json"
    target.write_text(json.dumps(results, indent=2) + "\n")
    print(f"wrote {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
