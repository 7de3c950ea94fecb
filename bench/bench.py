"""Time capture and build beside the tools that people use for the same: pip inspect and docker build.

    python bench/bench.py [--python PYTHON] [--repeats N]

Rules: each round runs every case once, in an order that rotates, so that a slow minute of the machine
falls on all of them; medians are compared, never means. All cases use the same wheels from this disk;
nothing is downloaded while the clock runs. Cases that need a Docker engine are left out, and named,
where DOCKER_HOST does not answer. Results go to bench/results/<packages>-packages.json.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from usage import variables

from envlock.host.store import Store
from envlock.lock import codec
from envlock.lock.model import Lock

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench/results"
LOCK = "pylock.envlock.toml"
BASE = "envlock-bench/debian:1"
BUILT = "envlock-bench/docker:1"
LOADED = "envlock-bench/envlock:1"

DOCKERFILE = f"""\
FROM {BASE}
COPY wheels /wheels
RUN python3 -m venv /opt/env && /opt/env/bin/pip install --no-index --no-deps /wheels/*.whl
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to time. ``prepare`` runs before each measurement, off the clock."""

    name: str
    argv: tuple[str, ...]
    prepare: tuple[Callable[[], None], ...] = ()
    then: tuple[str, ...] = ()
    """A second command that belongs to the same job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a benchmark works."""

    python: Path
    directory: Path
    store: Path

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables of every case, with the benchmark's own store."""
        return variables(self.store)

    def run(self, argv: tuple[str, ...]) -> float:
        """Run ``argv`` and return its seconds."""
        begun = time.perf_counter()
        done = subprocess.run(
            argv, cwd=self.directory, env=self.environ, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - begun
        if done.returncode:
            sys.exit(f"bench: {' '.join(argv)}: exit status {done.returncode}\n{done.stderr[-2000:]}")
        return seconds

    def forget_layers(self) -> None:
        """Leave the wheels in the store and drop what is known of layers, so that a build makes them."""
        shutil.rmtree(self.store / "facts", ignore_errors=True)


def envlock(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "envlock", *arguments)


def capture_cases(place: Place) -> list[Case]:
    return [
        Case(
            name="pip inspect", argv=(sys.executable, "-m", "pip", "--python", str(place.python), "inspect")
        ),
        Case(
            name="envlock capture",
            argv=envlock("capture", "--quiet", "--python", str(place.python), "-o", "pylock.again.toml"),
        ),
    ]


def build_cases(place: Place, *, engine: bool) -> list[Case]:
    archive = envlock("build", "--quiet", "-o", "docker-archive:image.tar", "-t", LOADED)
    cases = [
        Case(name="envlock build", argv=archive, prepare=(place.forget_layers,)),
        Case(name="envlock build, layers cached", argv=archive),
    ]
    if engine:
        load = ("docker", "load", "--quiet", "--input", "image.tar")
        docker = ("docker", "build", "--no-cache", "--quiet", "-t", BUILT, "context")
        cases += [
            Case(name="docker build", argv=docker, prepare=(lambda: forget_image(place, BUILT),)),
            Case(
                name="envlock build + docker load",
                argv=archive,
                then=load,
                prepare=(place.forget_layers, lambda: forget_image(place, LOADED)),
            ),
        ]
    return cases


def forget_image(place: Place, tag: str) -> None:
    subprocess.run(["docker", "rmi", "--force", tag], cwd=place.directory, capture_output=True, check=False)


def engine_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


def docker_context(place: Place, lock: Lock) -> None:
    """Lay the lock's own wheels out for pip, and a Debian image to build on."""
    wheels = place.directory / "context/wheels"
    wheels.mkdir(parents=True)
    store = Store(place.store)
    for package in lock.packages:
        beside = place.directory / (package.wheel.path or "")
        source = beside if package.wheel.path else store.find(package.wheel.sha256)
        if source is None:
            sys.exit(f"bench: {package.name}: its wheel is not in the store after a build")
        shutil.copy(source, wheels / package.wheel.name)
    (place.directory / "context/Dockerfile").write_text(DOCKERFILE)
    debian = place.directory / "debian.tar"
    subprocess.run(["sh", ROOT / ".ci/base-image", debian], check=True)
    subprocess.run(["docker", "import", debian, BASE], capture_output=True, check=True)


def measure(place: Place, cases: list[Case], repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {case.name: [] for case in cases}
    for turn in range(repeats):
        for case in cases[turn % len(cases) :] + cases[: turn % len(cases)]:
            for step in case.prepare:
                step()
            taken = place.run(case.argv) + (place.run(case.then) if case.then else 0.0)
            seconds[case.name].append(round(taken, 3))
            print(f"  round {turn + 1}  {case.name:32} {taken:8.2f} s", file=sys.stderr)
    return seconds


def report(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Print medians with their ratio to the rival's, and return the ratios."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rivals = {
        "envlock capture": "pip inspect",
        "envlock build": "docker build",
        "envlock build, layers cached": "docker build",
        "envlock build + docker load": "docker build",
    }
    ratios: dict[str, dict[str, float]] = {}
    print(f"{'':34}{'median':>10}   ratio to the rival")
    for name, median in medians.items():
        rival = rivals.get(name)
        ratio = f"{median / medians[rival]:.2f} of {rival}" if rival in medians and rival else ""
        print(f"  {name:32}{median:>8.2f} s   {ratio}")
        if rival in medians and rival:
            ratios[name] = {rival: round(median / medians[rival], 3)}
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description="time capture and build beside pip inspect and docker build")
    parser.add_argument("--python", type=Path, default=ROOT / ".demo/env/bin/python", help="the environment")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if not arguments.python.exists():
        sys.exit(f"bench: {arguments.python}: not there; run `make demo` first, or name one with --python")
    with tempfile.TemporaryDirectory(prefix="envlock-bench-", dir="/var/tmp") as scratch:
        place = Place(python=arguments.python, directory=Path(scratch), store=Path(scratch, "store"))
        # Once, off the clock: every wheel is on disk after this.
        place.run(envlock("capture", "--quiet", "--python", str(place.python)))
        place.run(envlock("build", "--quiet", "-o", "oci-archive:first.tar"))
        lock = codec.loads((place.directory / LOCK).read_bytes(), LOCK)
        engine = engine_answers()
        if engine:
            docker_context(place, lock)
        else:
            print("bench: no Docker engine answers: docker build is left out", file=sys.stderr)
        seconds = measure(place, capture_cases(place), arguments.repeats)
        seconds |= measure(place, build_cases(place, engine=engine), arguments.repeats)
        for tag in (BUILT, LOADED, BASE) if engine else ():
            forget_image(place, tag)
        ratios = report(seconds)
        RESULTS.mkdir(exist_ok=True)
        target = RESULTS / f"{len(lock.packages)}-packages.json"
        wheels = sum(package.wheel.size for package in lock.packages)
        target.write_text(
            json.dumps(
                {"packages": len(lock.packages), "wheel-bytes": wheels, "seconds": seconds, "ratios": ratios},
                indent=2,
            )
            + "\n"
        )
        print(f"wrote {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
